//! Passwords and keys. They stand in the environment or in a file of their own, never in the configuration itself.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

/// The longest secret in bytes.
const LONGEST: u64 = 64 * 1024;

/// A secret. Nothing shows it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The secret itself, for the one who needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("***")
    }
}

/// Where a secret stands: `"${NAME}"`, a variable of the environment, or `{ file = "..." }`. This may be shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(into = "Written")]
pub enum SecretSource {
    /// A variable of the environment.
    Variable(String),
    /// A file. A relative path starts from the folder of the configuration.
    File(PathBuf),
}

#[derive(Serialize, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
enum Written {
    Text(String),
    File { file: PathBuf },
}

impl From<SecretSource> for Written {
    fn from(source: SecretSource) -> Self {
        match source {
            SecretSource::Variable(name) => Self::Text(format!("${{{name}}}")),
            SecretSource::File(file) => Self::File { file },
        }
    }
}

/// The message never shows what was found: it may be the secret.
const EXPECTED: &str =
    "expected a secret as \"${NAME}\", from the environment, or as { file = \"...\" }, found another value";

impl<'de> Deserialize<'de> for SecretSource {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Written::deserialize(deserializer).map_err(|_| D::Error::custom(EXPECTED))? {
            Written::File { file } => Ok(Self::File(file)),
            Written::Text(text) => {
                let name = text.strip_prefix("${").and_then(|rest| rest.strip_suffix('}'));
                let is_name = |name: &&str| {
                    !name.is_empty() && name.bytes().all(|byte| byte == b'_' || byte.is_ascii_alphanumeric())
                };
                let name = name.filter(is_name).ok_or_else(|| D::Error::custom(EXPECTED))?;
                Ok(Self::Variable(name.to_owned()))
            }
        }
    }
}

impl SecretSource {
    /// Reads the secret. Line ends after it do not belong to it.
    ///
    /// # Errors
    /// Why it cannot be read. Never shows it.
    pub fn read(&self, folder: &Path) -> Result<Secret, String> {
        let text = match self {
            Self::Variable(name) => std::env::var(name).map_err(|error| match error {
                std::env::VarError::NotPresent => format!("the environment has no variable {name}"),
                std::env::VarError::NotUnicode(_) => format!("the variable {name} is not UTF-8"),
            })?,
            Self::File(file) => read_file(&folder.join(file))?,
        };
        let secret = text.trim_end_matches(['\r', '\n']);
        if secret.is_empty() {
            return Err(match self {
                Self::Variable(name) => format!("the variable {name} is empty"),
                Self::File(file) => format!("the file {} is empty", file.display()),
            });
        }
        Ok(Secret(secret.to_owned()))
    }
}

fn read_file(path: &Path) -> Result<String, String> {
    let cannot = |error: &dyn fmt::Display| format!("cannot read {}: {error}", path.display());
    let length = std::fs::metadata(path).map_err(|error| cannot(&error))?.len();
    if length > LONGEST {
        return Err(cannot(&format!("it has {length} bytes, more than any secret")));
    }
    std::fs::read_to_string(path).map_err(|error| cannot(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize, Serialize)]
    struct Sample {
        password: SecretSource,
    }

    fn parse(text: &str) -> Result<Sample, String> {
        toml::from_str(text).map_err(|error| error.to_string())
    }

    #[test]
    fn a_secret_stands_in_the_environment_or_in_a_file() {
        let folder = std::env::temp_dir();
        let sample = parse("password = \"${CARGO_PKG_NAME}\"").unwrap();
        let secret = sample.password.read(&folder).unwrap();
        assert_eq!((secret.expose(), format!("{secret:?}")), ("tributary-flow", "***".to_owned()));
        assert_eq!(toml::to_string(&sample).unwrap(), "password = \"${CARGO_PKG_NAME}\"\n");

        let name = format!("secret-{}", std::process::id());
        std::fs::write(folder.join(&name), "hunter2\n").unwrap();
        let sample = parse(&format!("password = {{ file = \"{name}\" }}")).unwrap();
        assert_eq!(sample.password.read(&folder).unwrap().expose(), "hunter2");
        std::fs::write(folder.join(&name), "\n").unwrap();
        assert!(sample.password.read(&folder).unwrap_err().contains("is empty"));
        std::fs::remove_file(folder.join(&name)).unwrap();
        assert!(sample.password.read(&folder).unwrap_err().contains(&name));
        let absent = SecretSource::Variable("NO_SUCH_VARIABLE_OF_THIS_TEST".to_owned()).read(&folder).unwrap_err();
        assert_eq!(absent, "the environment has no variable NO_SUCH_VARIABLE_OF_THIS_TEST");
    }

    #[test]
    fn a_secret_in_the_configuration_itself_is_refused_and_not_repeated() {
        for text in ["hunter2", "${}", "${hunter2", "${hunter 2}", "x${hunter2}"] {
            let error = parse(&format!("\n\npassword = \"{text}\"")).unwrap_err();
            assert!(error.contains("expected a secret as"), "{error}");
        }
        assert!(parse("password = 7").is_err());
        assert!(parse("password = { path = \"hunter2\" }").is_err());
    }
}
