//! The error of a selector that matches no device.

use crate::Error;

/// Error for a device that is not there.
pub fn no_device(name: &str, known: &[String]) -> Error {
    Error::Device(format!("no device matches '{name}'; known: {} (`trishade devices` lists them)", known.join(", ")))
}
