//! The schemas that a WSDL refers to. They belong to the operator: none is part of the program.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// The most files of a folder.
const MOST_FILES: usize = 200;

/// The most bytes of them all.
const MOST_BYTES: u64 = 32 << 20;

/// The files of a folder, by name.
#[derive(Debug, Default)]
pub(crate) struct SchemaFiles {
    files: BTreeMap<String, Vec<u8>>,
    /// The one that describes the namespace of the contract.
    of_contract: Option<String>,
}

impl SchemaFiles {
    /// Reads the files `*.xsd` of a folder.
    ///
    /// # Errors
    /// What cannot be read, or that no file describes the namespace of the contract.
    pub(crate) fn read(folder: &Path, contract: &str) -> Result<Self, String> {
        let unreadable = |path: &Path, error: &std::io::Error| format!("cannot read {}: {error}", path.display());
        let (mut files, mut bytes) = (BTreeMap::new(), 0);
        for entry in fs::read_dir(folder).map_err(|error| unreadable(folder, &error))? {
            let path = entry.map_err(|error| unreadable(folder, &error))?.path();
            let is_schema = path.extension().is_some_and(|extension| extension == "xsd");
            let Some(name) = path.file_name().and_then(|name| name.to_str()).filter(|_| is_schema) else { continue };
            bytes += fs::metadata(&path).map_err(|error| unreadable(&path, &error))?.len();
            if bytes > MOST_BYTES || files.len() == MOST_FILES {
                return Err(format!(
                    "{} has more than {MOST_FILES} schemas or {MOST_BYTES} bytes of them",
                    folder.display()
                ));
            }
            files.insert(name.to_owned(), fs::read(&path).map_err(|error| unreadable(&path, &error))?);
        }
        let target = [format!("targetNamespace=\"{contract}\""), format!("targetNamespace='{contract}'")];
        let describes = |text: &str| target.iter().any(|target| text.contains(target));
        let found = files.iter().find(|(_, text)| describes(&String::from_utf8_lossy(text)));
        let of_contract = found.map(|(name, _)| name.clone());
        if of_contract.is_none() {
            return Err(format!("no file *.xsd in {} has the targetNamespace {contract}", folder.display()));
        }
        Ok(Self { files, of_contract })
    }

    /// The name of the file that describes the namespace of the contract.
    pub(crate) fn of_contract(&self) -> Option<&str> {
        self.of_contract.as_deref()
    }

    /// A file.
    pub(crate) fn file(&self, name: &str) -> Option<&[u8]> {
        self.files.get(name).map(Vec::as_slice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_of_the_contract_is_found_by_its_namespace() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("types.xsd"), "<s targetNamespace=\"urn:types\"/>").unwrap();
        fs::write(folder.path().join("contract.xsd"), "<s targetNamespace='urn:x'/>").unwrap();
        fs::write(folder.path().join("secret.key"), "secret").unwrap();
        let files = SchemaFiles::read(folder.path(), "urn:x").unwrap();
        assert_eq!(files.of_contract(), Some("contract.xsd"));
        assert!(files.file("types.xsd").is_some());
        assert_eq!((files.file("secret.key"), files.file("../contract.xsd")), (None, None));
        let error = SchemaFiles::read(folder.path(), "urn:y").unwrap_err();
        assert!(error.contains("targetNamespace urn:y"), "{error}");
        assert!(SchemaFiles::read(&folder.path().join("absent"), "urn:x").is_err());
    }
}
