//! The amounts at each scale.

/// The size of the region.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    /// One office (EOE) with 300 positions.
    Office,
    /// Three offices (EOE, LDN, KSS) with 6,000 positions, and a post with hundreds of placements.
    Region,
    /// All 13 offices with 150,000 positions, and a post with 64,000 placements.
    National,
}

/// The amounts of a scale.
#[derive(Debug)]
pub(crate) struct Profile {
    pub(crate) offices: usize,
    /// The shares of the offices in all amounts. The last office gets the rest.
    pub(crate) weights: &'static [usize],
    pub(crate) positions: usize,
    pub(crate) posts: usize,
    pub(crate) people: usize,
    /// Placements outside the bucket post.
    pub(crate) placements: usize,
    /// People who hold a post on the first day.
    pub(crate) holders: usize,
    /// Placements that start from the first day to 13 weeks and a day after it.
    pub(crate) starting: usize,
    /// Applicant rows (placement and live position) of the rotation day, before some positions are deleted and some
    /// people lose data.
    pub(crate) rotation_rows: usize,
    /// Placements that start after the rotation day.
    pub(crate) later: usize,
    pub(crate) bucket: Bucket,
    /// Lines in the RMC files of all offices on the second day.
    pub(crate) rmc_records: usize,
    /// TIS objects changed on the second day.
    pub(crate) tis_changes: usize,
    /// Whether some lines are intentionally bad.
    pub(crate) bad_lines: bool,
}

/// A post with very many trainees at the same time.
#[derive(Debug)]
pub(crate) struct Bucket {
    pub(crate) placements: usize,
    /// The number of these placements that have started on the first day.
    pub(crate) current: usize,
    /// The number of these placements that start within the window of the first day, more than the limit of A10.
    pub(crate) starting: usize,
}

const OFFICE: Profile = Profile {
    offices: 1,
    weights: &[1],
    positions: 300,
    posts: 300,
    people: 140,
    placements: 300,
    holders: 110,
    starting: 60,
    rotation_rows: 40,
    later: 10,
    bucket: Bucket { placements: 0, current: 0, starting: 0 },
    rmc_records: 30,
    tis_changes: 40,
    bad_lines: true,
};

const REGION: Profile = Profile {
    offices: 3,
    weights: &[30, 46, 24],
    positions: 6_000,
    posts: 6_000,
    people: 2_400,
    placements: 5_000,
    holders: 2_100,
    starting: 700,
    rotation_rows: 1_000,
    later: 150,
    bucket: Bucket { placements: 400, current: 15, starting: 45 },
    rmc_records: 240,
    tis_changes: 160,
    bad_lines: true,
};

const NATIONAL: Profile = Profile {
    offices: 13,
    weights: &[10, 20, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 20],
    positions: 150_000,
    posts: 150_000,
    people: 55_000,
    placements: 120_000,
    holders: 50_000,
    starting: 6_000,
    rotation_rows: 42_000,
    later: 1_000,
    bucket: Bucket { placements: 64_000, current: 100, starting: 55 },
    rmc_records: 3_000,
    tis_changes: 2_000,
    bad_lines: false,
};

impl Profile {
    /// The profile of `scale`.
    pub(crate) fn of(scale: Scale) -> &'static Profile {
        match scale {
            Scale::Office => &OFFICE,
            Scale::Region => &REGION,
            Scale::National => &NATIONAL,
        }
    }

    /// The number of posts (and positions) of the bucket, in the first office.
    pub(crate) fn bucket_posts(&self) -> usize {
        usize::from(self.bucket.placements > 0)
    }

    /// The number of posts that share the number of another post (R9), in the first office.
    pub(crate) fn twin_posts(&self) -> usize {
        1 + self.posts / 5_000
    }

    /// The part of `total` for `office`. The parts add up to `total`.
    pub(crate) fn share(&self, total: usize, office: usize) -> usize {
        let weight = |offices: usize| self.weights[..offices].iter().sum::<usize>();
        let whole = weight(self.offices);
        total * weight(office + 1) / whole - total * weight(office) / whole
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_add_up() {
        for scale in [Scale::Office, Scale::Region, Scale::National] {
            let profile = Profile::of(scale);
            assert_eq!(profile.weights.len(), profile.offices);
            for total in [0, 7, 55_000] {
                let sum: usize = (0..profile.offices).map(|office| profile.share(total, office)).sum();
                assert_eq!(sum, total);
            }
        }
    }
}
