//! The caller of a request, and the caller's roles.

use std::collections::BTreeSet;
use std::fmt;
use std::pin::Pin;
use std::sync::Weak;

use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::middleware::{FromFnLayer, Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use uuid::Uuid;

use super::Problem;

/// A right, identified by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Role(&'static str);

impl Role {
    /// May read.
    pub const VIEWER: Self = Self("viewer");
    /// May act, and may read.
    pub const OPERATOR: Self = Self("operator");
    /// May see personal data of dead letters and people. Other callers see `"***"`.
    pub const DATA: Self = Self("data");
    /// May read audits.
    pub const AUDITOR: Self = Self("auditor");

    /// A role that one flow defines.
    pub const fn of_flow(name: &'static str) -> Self {
        Self(name)
    }

    /// The name, as tokens and the configuration spell it.
    pub const fn name(self) -> &'static str {
        self.0
    }
}

impl fmt::Display for Role {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.0)
    }
}

/// The roles of a caller. `operator` includes `viewer`; no other role includes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Roles {
    /// Every role: authentication mode `none`.
    All,
    /// The roles with these names.
    Named(BTreeSet<String>),
}

impl Roles {
    /// Whether they include `role`.
    pub fn contain(&self, role: Role) -> bool {
        match self {
            Self::All => true,
            Self::Named(names) => {
                names.contains(role.name()) || (role == Role::VIEWER && names.contains(Role::OPERATOR.name()))
            }
        }
    }
}

impl<T: Into<String>> FromIterator<T> for Roles {
    fn from_iter<I: IntoIterator<Item = T>>(names: I) -> Self {
        Self::Named(names.into_iter().map(Into::into).collect())
    }
}

/// The sender of a request. A handler takes it as an argument. A request without credentials ends with 401.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    name: String,
    roles: Roles,
    user_id: Uuid,
    expires: Option<Timestamp>,
    listing: Option<Listing>,
}

/// The list that a caller's token was found in. It ends when the list is replaced.
#[derive(Debug, Clone)]
struct Listing(Weak<()>);

impl PartialEq for Listing {
    fn eq(&self, other: &Self) -> bool {
        self.0.ptr_eq(&other.0)
    }
}

impl Eq for Listing {}

impl Caller {
    /// A caller whose user id is derived from the name.
    pub fn new(name: impl Into<String>, roles: Roles) -> Self {
        let name = name.into();
        let user_id = user_id(&name);
        Self { name, roles, user_id, expires: None, listing: None }
    }

    /// The same caller, acting for this user.
    #[must_use]
    pub fn for_user(mut self, user_id: Uuid) -> Self {
        self.user_id = user_id;
        self
    }

    /// The same caller, until its token expires.
    #[must_use]
    pub fn until(mut self, expires: Timestamp) -> Self {
        self.expires = Some(expires);
        self
    }

    /// The same caller, as long as the list of tokens lives that names it.
    #[must_use]
    pub fn listed(mut self, list: Weak<()>) -> Self {
        self.listing = Some(Listing(list));
        self
    }

    /// When the caller's token expires. `None` if it does not.
    pub fn expires(&self) -> Option<Timestamp> {
        self.expires
    }

    /// Whether the caller is still known at this time. What outlives its request, such as a stream of events, asks again
    /// and again, and ends when the answer is no: the token has expired, or the list of tokens was replaced.
    pub fn is_current(&self, now: Timestamp) -> bool {
        let is_listed = self.listing.as_ref().is_none_or(|listing| listing.0.strong_count() > 0);
        is_listed && self.expires.is_none_or(|expires| now < expires)
    }

    /// The client's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The user's id: from the token, or derived from the name ([`user_id`]).
    pub fn user_id(&self) -> Uuid {
        self.user_id
    }

    /// Whether the caller has `role`.
    pub fn has(&self, role: Role) -> bool {
        self.roles.contain(role)
    }

    /// Whether the caller has this scope, whose name is configured. Roles and scopes count together.
    pub fn has_scope(&self, scope: &str) -> bool {
        match &self.roles {
            Roles::All => true,
            Roles::Named(names) => names.contains(scope),
        }
    }

    /// Refuses a caller without `role`.
    ///
    /// # Errors
    /// A [`Problem`] with status 403.
    pub fn require(&self, role: Role) -> Result<(), Problem> {
        if self.has(role) {
            return Ok(());
        }
        Err(Problem::forbidden(format!("{} does not have the role {role}", self.name)))
    }
}

/// The id of the user called `text`: the text itself if it is a UUID, else a UUID version 5 of it in the OID namespace.
pub fn user_id(text: &str) -> Uuid {
    Uuid::try_parse(text).unwrap_or_else(|_| Uuid::new_v5(&Uuid::NAMESPACE_OID, text.as_bytes()))
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parts.extensions.get::<Self>().cloned().ok_or_else(no_credentials)
    }
}

fn no_credentials() -> Problem {
    Problem::unauthenticated("the request carries no credentials: send a token as `Authorization: Bearer TOKEN`")
}

type CheckRole = fn(State<Role>, Request, Next) -> Pin<Box<dyn Future<Output = Response> + Send>>;

/// The type of the layer of [`require`].
pub type RequireLayer = FromFnLayer<CheckRole, Role, (State<Role>, Request)>;

/// A layer for routes that need `role`: 401 without credentials, 403 without the role.
///
/// ```
/// # use axum::{Router, routing::post};
/// # use tributary_flow::http::{Role, require};
/// let router: Router = Router::new().route("/esr/pause", post(|| async {})).route_layer(require(Role::OPERATOR));
/// ```
pub fn require(role: Role) -> RequireLayer {
    let check: CheckRole = |State(role), request, next| Box::pin(check_role(role, request, next));
    from_fn_with_state(role, check)
}

async fn check_role(role: Role, request: Request, next: Next) -> Response {
    let checked = match request.extensions().get::<Caller>() {
        None => Err(no_credentials()),
        Some(caller) => caller.require(role),
    };
    match checked {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(roles: &[&str]) -> Caller {
        Caller::new("anna", roles.iter().copied().collect())
    }

    #[test]
    fn an_operator_is_a_viewer_and_no_other_role_includes_one() {
        assert!(caller(&["operator"]).has(Role::VIEWER));
        assert!(!caller(&["viewer"]).has(Role::OPERATOR));
        for role in ["viewer", "operator", "data", "auditor"] {
            for other in [Role::DATA, Role::AUDITOR, Role::of_flow("consumer")] {
                assert_eq!(caller(&[role]).has(other), role == other.name(), "{role} {other}");
            }
        }
        assert!(Caller::new("local", Roles::All).has(Role::of_flow("consumer")));
    }

    #[test]
    fn a_scope_is_had_by_its_whole_name_alone() {
        assert!(caller(&["unzr:read"]).has_scope("unzr:read"));
        for other in ["unzr:write", "unzr", "unzr:read ", "UNZR:READ", ""] {
            assert!(!caller(&["unzr:read", "operator"]).has_scope(other), "{other}");
        }
        assert!(Caller::new("local", Roles::All).has_scope("unzr:read"));
    }

    #[test]
    fn a_caller_is_current_until_its_token_expires_or_its_list_is_replaced() {
        let expires = Timestamp::from_second(100).unwrap();
        let (before, at) = (Timestamp::from_second(99).unwrap(), expires);
        assert!(caller(&[]).is_current(Timestamp::MAX));
        let anna = caller(&[]).until(expires);
        assert!(anna.is_current(before) && !anna.is_current(at));
        let list = std::sync::Arc::new(());
        let listed = caller(&[]).listed(std::sync::Arc::downgrade(&list));
        assert!(listed.is_current(at));
        drop(list);
        assert!(!listed.is_current(at));
    }

    #[test]
    fn a_user_id_is_the_uuid_itself_or_version_5_in_the_oid_namespace() {
        let given = "f81d4fae-7dec-41d0-a765-00a0c91e6bf6";
        assert_eq!(user_id(given).to_string(), given);
        // From Python: uuid.uuid5(uuid.NAMESPACE_OID, "anna")
        assert_eq!(user_id("anna").to_string(), "4a4df753-579f-5b27-89c1-5ed6960a5a43");
    }
}
