//! How much there is of everything at each scale.

/// How large the region is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    /// One office (EOE) with 300 positions.
    Office,
    /// Three offices (EOE, LDN, KSS) with 6,000 positions, and a post with hundreds of placements.
    Region,
    /// All 13 offices with 150,000 positions, and a post with 64,000 placements.
    National,
}

/// The numbers behind a scale.
#[derive(Debug)]
pub(crate) struct Profile {
    pub(crate) offices: usize,
    /// Shares of the offices in everything below; the last office takes what is left.
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
    /// Applicant rows (placement and live position) that the rotation day brings, before some positions
    /// are deleted and some people turn out to lack data.
    pub(crate) rotation_rows: usize,
    /// Placements that start after the rotation day.
    pub(crate) later: usize,
    pub(crate) bucket: Bucket,
    /// Lines in the RMC files of the second day, all offices together.
    pub(crate) rmc_records: usize,
    /// TIS objects changed on the second day.
    pub(crate) tis_changes: usize,
    /// Whether some lines are bad on purpose.
    pub(crate) bad_lines: bool,
}

/// A post used for very many trainees at once.
#[derive(Debug)]
pub(crate) struct Bucket {
    pub(crate) placements: usize,
    /// Of these: under way on the first day.
    pub(crate) current: usize,
    /// Of these: starting within the window of the first day (more than the cap of A10).
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

    /// Posts (and positions) taken by the bucket, in the first office.
    pub(crate) fn bucket_posts(&self) -> usize {
        usize::from(self.bucket.placements > 0)
    }

    /// Posts that share the number of another one (R9), in the first office.
    pub(crate) fn twin_posts(&self) -> usize {
        1 + self.posts / 5_000
    }

    /// The part of `total` that falls to `office`; the parts add up to `total`.
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
