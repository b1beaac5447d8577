//! Pairs of current and next placements of a post (6.2-6.4, D33, D37).

use tributary_schemas::Date;
use tributary_schemas::records::esr::PlacementAtPost;

use super::state::PlacementKey;

/// An approved placement that counts, as a partner.
#[derive(Debug, Clone, Copy)]
pub(super) struct Partner<'a> {
    pub(super) key: PlacementKey,
    pub(super) placement: &'a PlacementAtPost,
}

impl Partner<'_> {
    /// Whether the placement covers `day`. Without an end it covers every day after its start (D15).
    pub(super) fn covers(&self, day: Date) -> bool {
        self.placement.date_from <= day && !ended_before(self.placement, day)
    }

    pub(super) fn ends_on(&self, day: Date) -> bool {
        self.placement.date_to == Some(day)
    }
}

/// Whether the last day of the placement is before `day`.
pub(super) fn ended_before(placement: &PlacementAtPost, day: Date) -> bool {
    placement.date_to.is_some_and(|end| end < day)
}

/// Whether the site codes are equal. Case is ignored. A placement without a site code never pairs (6.2).
pub(super) fn same_site(one: &PlacementAtPost, other: &PlacementAtPost) -> bool {
    match (site(one), site(other)) {
        (Some(one), Some(other)) => one.eq_ignore_ascii_case(other),
        _ => false,
    }
}

fn site(placement: &PlacementAtPost) -> Option<&str> {
    placement.site_code.as_deref().map(str::trim).filter(|code| !code.is_empty())
}

/// D37: the partner with the same site, then with the latest start, then with the lowest id.
pub(super) fn outgoing<'a>(
    new: &PlacementAtPost,
    candidates: impl Iterator<Item = Partner<'a>>,
) -> Option<Partner<'a>> {
    candidates.min_by_key(|partner| {
        (!same_site(new, partner.placement), std::cmp::Reverse(partner.placement.date_from), partner.key)
    })
}

/// The first candidate with the same site. The candidates are in order of start and id.
pub(super) fn first_same_site<'a>(
    of: &PlacementAtPost,
    mut candidates: impl Iterator<Item = Partner<'a>>,
) -> Option<Partner<'a>> {
    candidates.find(|partner| same_site(of, partner.placement))
}

/// The first candidate with the same site, otherwise the first candidate (6.4). The candidates are in order of start
/// and id.
pub(super) fn same_site_or_first<'a>(
    of: &PlacementAtPost,
    candidates: impl Iterator<Item = Partner<'a>>,
) -> Option<Partner<'a>> {
    let mut first = None;
    for partner in candidates {
        if same_site(of, partner.placement) {
            return Some(partner);
        }
        first = first.or(Some(partner));
    }
    first
}

/// Pairs each current placement with the first free future placement of the same site. Placements without a partner
/// stay alone (6.6, D32).
pub(super) fn pair_up<'a>(
    currents: &[Partner<'a>],
    futures: &[Partner<'a>],
) -> Vec<(Option<Partner<'a>>, Option<Partner<'a>>)> {
    let mut free: Vec<Partner<'a>> = futures.to_vec();
    let mut pairs = Vec::new();
    for current in currents {
        let at = free.iter().position(|future| same_site(current.placement, future.placement));
        pairs.push((Some(*current), at.map(|at| free.remove(at))));
    }
    pairs.extend(free.into_iter().map(|future| (None, Some(future))));
    pairs
}
