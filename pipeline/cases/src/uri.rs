//! Where case details may be: scheme, host and port of a URI.

use url::Url;

/// The longest URI that is taken.
pub const LONGEST: usize = 2048;

/// Why a URI is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UriError {
    /// Longer than [`LONGEST`].
    #[error("it has {0} characters, and at most {LONGEST} are taken")]
    TooLong(usize),
    /// No URI.
    #[error("it is no absolute http or https URI")]
    Malformed,
    /// Blanks, control characters and backslashes, which programs read in different ways.
    #[error("it has a blank, a control character or a backslash: escape it")]
    OddCharacter,
    /// A part that the URI of case details does not have.
    #[error("it has {0}: leave it out")]
    Part(&'static str),
}

/// Scheme, host and port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    scheme: String,
    host: String,
    port: u16,
}

/// Reads the place of a URI.
///
/// # Errors
/// [`UriError`] says what is wrong with it.
pub fn place(uri: &str) -> Result<Place, UriError> {
    let length = uri.chars().count();
    if length > LONGEST {
        return Err(UriError::TooLong(length));
    }
    if uri.chars().any(|letter| letter.is_control() || letter.is_whitespace() || letter == '\\') {
        return Err(UriError::OddCharacter);
    }
    let (_, rest) = uri.split_once("://").ok_or(UriError::Malformed)?;
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.contains('@') {
        return Err(UriError::Part("a user part"));
    }
    if uri.contains('#') {
        return Err(UriError::Part("a fragment"));
    }
    let url = Url::parse(uri).map_err(|_| UriError::Malformed)?;
    if !matches!(url.scheme(), "http" | "https") || authority.is_empty() {
        return Err(UriError::Malformed);
    }
    match (url.host_str(), url.port_or_known_default()) {
        (Some(host), Some(port)) => Ok(Place { scheme: url.scheme().to_owned(), host: host.to_owned(), port }),
        _ => Err(UriError::Malformed),
    }
}

/// Whether the URI is at one of the places that `details` lists.
///
/// # Errors
/// [`UriError`] says what is wrong with the URI.
pub fn is_listed(uri: &str, details: &[String]) -> Result<bool, UriError> {
    let wanted = place(uri)?;
    Ok(details.iter().any(|listed| place(listed).as_ref() == Ok(&wanted)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uri_is_listed_by_scheme_host_and_port() {
        let details = ["https://esdh.example".to_owned(), "http://[::1]:8080/".to_owned()];
        for (uri, expected) in [
            ("https://esdh.example/cases/1", true),
            ("HTTPS://ESDH.example:443/cases/1?x=1", true),
            ("https://esdh.ex%61mple/", true),
            ("http://[0:0::1]:8080/x", true),
            ("http://esdh.example/", false),
            ("https://esdh.example:8443/", false),
            ("https://esdh.example.evil/", false),
            ("https://esdh.example./", false),
            ("http://127.1:8080/", false),
        ] {
            assert_eq!(is_listed(uri, &details), Ok(expected), "{uri}");
        }
    }

    #[test]
    fn user_parts_fragments_and_odd_characters_are_refused() {
        let details = ["https://esdh.example".to_owned()];
        for uri in [
            "https://esdh.example@evil.example/",
            "https://@esdh.example/",
            "https://esdh.example/#part",
            "https:\\\\esdh.example/",
            "https://esdh.example\t/",
            " https://esdh.example/",
            "https:esdh.example",
            "https:///esdh.example",
            "file:///etc/passwd",
            "ftp://esdh.example/",
            "esdh.example/1",
            "",
        ] {
            assert!(is_listed(uri, &details).is_err(), "{uri}");
        }
        let longest = format!("https://esdh.example/{}", "a".repeat(LONGEST - 21));
        assert_eq!(is_listed(&longest, &details), Ok(true));
        assert_eq!(is_listed(&format!("{longest}a"), &details), Err(UriError::TooLong(LONGEST + 1)));
    }
}
