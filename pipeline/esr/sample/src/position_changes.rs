//! The changes of positions in ESR on a later day, which the RMC files report.

use crate::changes::{Day, Touched};
use crate::model::{NO_POST, Position, PostStatus};
use crate::region::Region;

impl Region {
    /// Changes positions until the RMC files have the wanted number of records, a POS and a POR for each position: new
    /// ones, deletions (R3), returns (R5), other post numbers (R6) or position numbers, cleared DPNs (D5). The other
    /// changed positions get a new title.
    pub(crate) fn change_positions(&mut self, day: Day, touched: &mut Touched) {
        let wanted = (day.rmc_records / 2).saturating_sub(touched.positions.len());
        let of = |percent: usize| (wanted * percent / 100).max(1).min(wanted);
        self.add_positions(of(15), touched);
        self.pair_anew(of(10), touched);
        for index in self.untouched(of(8), touched, |position| position.deleted) {
            self.change_position(index, |position| position.deleted = false);
        }
        for index in self.untouched(of(20), touched, Position::live) {
            self.change_position(index, |position| position.deleted = true);
        }
        for index in self.untouched(of(15), touched, Position::live) {
            self.change_position(index, |position| position.number += 1);
        }
        for index in self.untouched(of(2), touched, Position::live) {
            self.change_position(index, |position| position.cleared = true);
        }
        let left = (day.rmc_records / 2).saturating_sub(touched.positions.len());
        for index in self.untouched(left, touched, Position::live) {
            self.change_position(index, |position| position.revision += 1);
        }
    }

    /// The indexes of the positions for which `wanted` holds.
    pub(crate) fn select_positions(&self, wanted: impl Fn(&Position) -> bool) -> Vec<u32> {
        (0u32..).zip(&self.positions).filter(|(_, position)| wanted(position)).map(|(index, _)| index).collect()
    }

    /// Chooses `count` of the positions that this day has not changed yet, and marks them as changed.
    fn untouched(&mut self, count: usize, touched: &mut Touched, wanted: impl Fn(&Position) -> bool) -> Vec<u32> {
        let bucket = self.bucket_post;
        let mut candidates = self.select_positions(|position| wanted(position) && Some(position.post) != bucket);
        candidates.retain(|index| !touched.positions.contains(index));
        let chosen = self.rng.choose(candidates, count);
        touched.positions.extend(&chosen);
        chosen
    }

    /// Posts without a live position.
    fn bare_posts(&self) -> Vec<u32> {
        (0u32..)
            .zip(&self.posts)
            .filter(|(_, post)| post.live_positions == 0 && post.status == PostStatus::Current)
            .map(|(index, _)| index)
            .collect()
    }

    /// Adds positions for posts without one (R7).
    fn add_positions(&mut self, count: usize, touched: &mut Touched) {
        let posts = self.bare_posts();
        for post in self.rng.choose(posts, count) {
            let number = self.posts[post as usize].number;
            touched.positions.insert(self.add_position(number, post, false));
        }
    }

    /// Gives positions the number of another post of their office (R6). Half of them had a post before.
    fn pair_anew(&mut self, count: usize, touched: &mut Touched) {
        let posts = self.bare_posts();
        let posts = self.rng.choose(posts, count);
        for (turn, post) in posts.into_iter().enumerate() {
            let number = self.posts[post as usize].number;
            let office = self.posts[post as usize].office();
            let had_post = turn % 2 == 0;
            let chosen = self.untouched(1, touched, |position| {
                position.live() && position.office() == office && (position.post == NO_POST) != had_post
            });
            for index in chosen {
                self.change_position(index, |position| {
                    position.dpn = number;
                    position.post = post;
                });
            }
        }
    }
}
