//! Types of the namespace `tis`.

id! {
    /// Id of a TIS placement.
    PlacementId
}

id! {
    /// Id of a TIS person.
    PersonId
}

id! {
    /// Id of a TIS post.
    PostId
}
