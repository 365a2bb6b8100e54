//! Names and ids of uploaded models. An id is a name, `@`, and 16 hexadecimal digits of a hash; it is a file's name as well.

use super::secrets::{Id, sha256};
use crate::{Error, Result};

/// Id of an upload: the same at all parties, another for every upload, since `number` is random.
pub fn id_of(name: &str, architecture: &[u8], number: &Id) -> String {
    let hash = sha256(&[name.as_bytes(), architecture, number]);
    hash[..8].iter().fold(format!("{name}@"), |id, byte| format!("{id}{byte:02x}"))
}

/// Name in an id.
pub fn name_in(id: &str) -> &str {
    id.split_once('@').map_or(id, |(name, _)| name)
}

/// Checks the name that an upload gives to its model.
pub fn check_name(name: &str) -> Result<()> {
    let fits =
        (1..=64).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)) && !name.starts_with('.');
    match fits {
        true => Ok(()),
        false => Err(Error::Input("a model's name is of 1 to 64 letters, digits, - _ and ., and does not begin with .".into())),
    }
}

/// Checks that a text from elsewhere is an id.
pub fn check_id(id: &str) -> Result<()> {
    let known = id
        .split_once('@')
        .is_some_and(|(name, hash)| check_name(name).is_ok() && hash.len() == 16 && hash.bytes().all(|b| b.is_ascii_hexdigit()));
    match known {
        true => Ok(()),
        false => Err(Error::Input("a model's id is its name, @ and 16 hexadecimal digits".into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_its_name_and_no_path() {
        let id = id_of("lenet-1.b", &[1, 2], &[3; 16]);
        assert!(check_id(&id).is_ok());
        assert_eq!(name_in(&id), "lenet-1.b");
        assert_ne!(id, id_of("lenet-1.b", &[1, 2], &[4; 16]));
        for bad in ["", "lenet", "../x@0123456789abcdef", ".x@0123456789abcdef", "x@0123", "x@0123456789abcdeg"] {
            assert!(check_id(bad).is_err(), "{bad}");
        }
    }
}
