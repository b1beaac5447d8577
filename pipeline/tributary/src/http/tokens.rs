//! Reads tokens from a file. Each line is `NAME ROLE[,ROLE] SHA256-OF-TOKEN-IN-HEX`.

use std::sync::Arc;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use tributary_flow::http::{Caller, Roles};

/// Callers by the hash of their token.
#[derive(Debug)]
pub(super) struct Tokens {
    entries: Vec<(Hash, Caller)>,
    /// Callers are current as long as their list lives. A file that is read again is another list.
    _alive: Arc<()>,
}

type Hash = [u8; 32];

/// Why a line cannot be read. The message does not repeat the hash.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokensError {
    /// The file is not text.
    #[error("the file is not UTF-8 text")]
    NotText,
    /// The line does not have three parts.
    #[error("line {line}: expected `NAME ROLE[,ROLE] SHA256-OF-TOKEN-IN-HEX`, with `-` for no role")]
    Parts {
        /// The number of the line, from 1.
        line: usize,
    },
    /// The third part is not a hash.
    #[error("line {line}: the third part must be the SHA-256 of the token: 64 hexadecimal digits")]
    Hash {
        /// The number of the line, from 1.
        line: usize,
    },
    /// A role has no name.
    #[error("line {line}: a role is empty; roles are separated by a comma without blanks")]
    Role {
        /// The number of the line, from 1.
        line: usize,
    },
    /// Two lines have the same token, so the caller would be ambiguous.
    #[error("line {line}: the token of this line is also that of line {other}")]
    Twice {
        /// The number of the line, from 1.
        line: usize,
        /// The number of the earlier line.
        other: usize,
    },
}

impl Tokens {
    /// Reads the file's content. Empty lines and lines that start with `#` are skipped.
    pub(super) fn parse(content: &[u8]) -> Result<Self, TokensError> {
        let text = str::from_utf8(content).map_err(|_| TokensError::NotText)?;
        let mut entries: Vec<(Hash, Caller)> = Vec::new();
        let mut lines: Vec<usize> = Vec::new();
        let alive = Arc::new(());
        for (line, text) in (1..).zip(text.lines()) {
            if text.trim().is_empty() || text.starts_with('#') {
                continue;
            }
            let (hash, caller) = entry(text, line)?;
            if let Some(other) = entries.iter().position(|(known, _)| *known == hash) {
                return Err(TokensError::Twice { line, other: lines[other] });
            }
            entries.push((hash, caller.listed(Arc::downgrade(&alive))));
            lines.push(line);
        }
        Ok(Self { entries, _alive: alive })
    }

    /// The caller with this token. Every entry is compared, each in constant time.
    pub(super) fn caller(&self, token: &str) -> Option<&Caller> {
        let presented: Hash = Sha256::digest(token.as_bytes()).into();
        let mut found = None;
        for (hash, caller) in &self.entries {
            if bool::from(hash.ct_eq(&presented)) {
                found = Some(caller);
            }
        }
        found
    }
}

fn entry(text: &str, line: usize) -> Result<(Hash, Caller), TokensError> {
    let parts: Vec<&str> = text.split_whitespace().collect();
    let [name, roles, hash] = parts[..] else { return Err(TokensError::Parts { line }) };
    let hash = hash_of_hex(hash).ok_or(TokensError::Hash { line })?;
    let roles: Roles = match roles {
        "-" => Roles::Named(std::collections::BTreeSet::new()),
        list if list.split(',').any(str::is_empty) => return Err(TokensError::Role { line }),
        list => list.split(',').collect(),
    };
    Ok((hash, Caller::new(name, roles)))
}

fn hash_of_hex(text: &str) -> Option<Hash> {
    if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let mut hash = [0; 32];
    for (byte, pair) in hash.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(hash)
}

#[cfg(test)]
mod tests {
    use tributary_flow::http::Role;

    use super::*;

    /// The SHA-256 of `secret`, from coreutils.
    const SECRET: &str = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b";

    #[test]
    fn a_token_is_known_by_its_hash() {
        let text = format!("# people\n\nanna viewer,data {SECRET}\nbot - {}\n", SECRET.replace('2', "3"));
        let tokens = Tokens::parse(text.as_bytes()).unwrap();
        let anna = tokens.caller("secret").unwrap();
        assert_eq!((anna.name(), anna.has(Role::DATA), anna.has(Role::OPERATOR)), ("anna", true, false));
        assert!(anna.is_current(jiff::Timestamp::MAX));
        assert_eq!(tokens.caller("Secret"), None);
        assert_eq!(tokens.caller(""), None);
        assert_eq!(tokens.caller(SECRET), None);
    }

    #[test]
    fn a_wrong_line_is_named_without_its_hash() {
        let short = &SECRET[1..];
        let cases = [
            (format!("anna {SECRET}"), TokensError::Parts { line: 1 }),
            (format!("\nanna viewer {short}"), TokensError::Hash { line: 2 }),
            (format!("anna viewer, {SECRET}"), TokensError::Role { line: 1 }),
            (format!("anna viewer {SECRET}\nbob - {SECRET}"), TokensError::Twice { line: 2, other: 1 }),
        ];
        for (text, expected) in cases {
            let error = Tokens::parse(text.as_bytes()).unwrap_err();
            assert_eq!(error, expected, "{text}");
            assert!(!error.to_string().contains(short), "{error}");
        }
        assert_eq!(Tokens::parse(b"\xff").unwrap_err(), TokensError::NotText);
    }
}
