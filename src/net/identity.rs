//! Identities: a private key, a certificate signed with it, and the fingerprint by which others know it.

use crate::{Error, Result};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use std::{
    fmt,
    fs::{self, OpenOptions},
    io::Write,
    path::Path,
    str::FromStr,
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use zeroize::{Zeroize, Zeroizing};

/// SHA-256 of a certificate, written `sha256:` and 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// Fingerprint of a certificate in DER.
    pub fn of(certificate: &[u8]) -> Self {
        Self(super::secrets::sha256(&[certificate]))
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sha256:")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Fingerprint {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let bad = || Error::Input(format!("'{text}' is no fingerprint: sha256: and 64 hexadecimal digits"));
        let digits = text.strip_prefix("sha256:").filter(|digits| digits.len() == 64 && digits.is_ascii()).ok_or_else(bad)?;
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.as_bytes().chunks(2)) {
            let pair = std::str::from_utf8(pair).map_err(|_| bad())?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| bad())?;
        }
        Ok(Self(bytes))
    }
}

impl TryFrom<String> for Fingerprint {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<Fingerprint> for String {
    fn from(fingerprint: Fingerprint) -> Self {
        fingerprint.to_string()
    }
}

/// A key and its certificate.
pub struct Identity {
    pub(super) certificate: CertificateDer<'static>,
    pub(super) key: PrivateKeyDer<'static>,
}

impl Identity {
    /// Reads both from PEM files. The key's must be readable by its owner alone.
    pub fn open(certificate: &Path, key: &Path) -> Result<Self> {
        let pem = read_secret(key)?;
        let bad = |path: &Path, e: &dyn fmt::Display| Error::File(format!("{}: {e}", path.display()));
        let key = PrivateKeyDer::from_pem_slice(&pem).map_err(|e| bad(key, &e))?;
        let text = fs::read(certificate).map_err(|e| bad(certificate, &e))?;
        let certificate = CertificateDer::from_pem_slice(&text).map_err(|e| bad(certificate, &e))?;
        Ok(Self { certificate, key })
    }

    /// Fingerprint of the certificate, by which others know it.
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(&self.certificate)
    }

    /// Time in which the certificate is valid.
    pub fn validity(&self) -> Result<Validity> {
        Validity::of(&self.certificate)
    }

    /// Draws a key and makes a certificate of so many days for it.
    pub fn generate(name: &str, days: u32) -> Result<Generated> {
        let failed = |e: rcgen::Error| Error::Input(format!("no certificate can be made for '{name}': {e}"));
        let pair = rcgen::KeyPair::generate().map_err(failed)?;
        let mut parameters = rcgen::CertificateParams::new(vec![name.to_owned()]).map_err(failed)?;
        parameters.distinguished_name = rcgen::DistinguishedName::new();
        parameters.distinguished_name.push(rcgen::DnType::CommonName, name);
        // clocks differ a little
        let begin = SystemTime::now() - Duration::from_secs(3600);
        parameters.not_before = begin.into();
        parameters.not_after = (begin + Duration::from_secs(u64::from(days) * 86_400 + 3600)).into();
        let certificate = parameters.self_signed(&pair).map_err(failed)?;
        Ok(Generated {
            fingerprint: Fingerprint::of(certificate.der()),
            certificate: certificate.pem(),
            key: Zeroizing::new(pair.serialize_pem()),
        })
    }
}

impl Clone for Identity {
    fn clone(&self) -> Self {
        Self { certificate: self.certificate.clone(), key: self.key.clone_key() }
    }
}

impl Drop for Identity {
    fn drop(&mut self) {
        self.key.zeroize();
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({})", self.fingerprint())
    }
}

/// A new identity, as PEM.
pub struct Generated {
    /// Fingerprint of the certificate.
    pub fingerprint: Fingerprint,
    certificate: String,
    key: Zeroizing<String>,
}

impl Generated {
    /// Identity for use at once.
    pub fn identity(&self) -> Result<Identity> {
        let failed = |e| Error::Misuse(format!("the new key: {e}"));
        let key = PrivateKeyDer::from_pem_slice(self.key.as_bytes()).map_err(failed)?;
        let certificate = CertificateDer::from_pem_slice(self.certificate.as_bytes()).map_err(failed)?;
        Ok(Identity { certificate, key })
    }

    /// Writes both files, the key for its owner alone. Files that are there are left as they are: that is an error.
    pub fn write(&self, certificate: &Path, key: &Path) -> Result<()> {
        write_secret(key, self.key.as_bytes())?;
        let failed = |e| Error::File(format!("{}: {e}", certificate.display()));
        let mut file = OpenOptions::new().write(true).create_new(true).open(certificate).map_err(failed)?;
        file.write_all(self.certificate.as_bytes()).map_err(failed)
    }
}

impl fmt::Debug for Generated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Generated({})", self.fingerprint)
    }
}

/// The time in which a certificate is valid, in seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// First second.
    pub from: i64,
    /// Last second.
    pub to: i64,
}

impl Validity {
    pub(super) fn of(certificate: &[u8]) -> Result<Self> {
        let (_, parsed) =
            x509_parser::parse_x509_certificate(certificate).map_err(|e| Error::Peer(format!("a certificate that cannot be read: {e}")))?;
        let validity = parsed.validity();
        Ok(Self { from: validity.not_before.timestamp(), to: validity.not_after.timestamp() })
    }

    /// Whole days that are left; negative if it has expired.
    pub fn days_left(self) -> i64 {
        (self.to - now()).div_euclid(86_400)
    }

    /// Reason why the certificate is not valid now, if it is not.
    pub(super) fn fault(self) -> Option<String> {
        let now = now();
        match now {
            _ if now < self.from => Some(format!("its certificate is not valid before {} seconds from now", self.from - now)),
            _ if now > self.to => Some(format!("its certificate expired {} days ago", (now - self.to) / 86_400)),
            _ => None,
        }
    }
}

/// Seconds since 1970.
fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() as i64)
}

/// Reads a file that its owner alone can read; other modes are an error.
pub(super) fn read_secret(path: &Path) -> Result<Zeroizing<Vec<u8>>> {
    let failed = |e: std::io::Error| Error::File(format!("{}: {e}", path.display()));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = fs::metadata(path).map_err(failed)?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            let path = path.display();
            return Err(Error::File(format!("{path}: others can read this key (mode {mode:o}); run: chmod 600 {path}")));
        }
    }
    fs::read(path).map(Zeroizing::new).map_err(failed)
}

/// Writes a new file that its owner alone can read.
pub(super) fn write_secret(path: &Path, bytes: &[u8]) -> Result<()> {
    let failed = |e: std::io::Error| Error::File(format!("{}: {e}", path.display()));
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    options.open(path).and_then(|mut file| file.write_all(bytes)).map_err(failed)
}
