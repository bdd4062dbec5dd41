//! The certificates of the LAN's listener: an authority of our own, whose fingerprint clients pin, and the broker's
//! certificate, which is made anew at each start so that it carries this host's names.

use std::fs;
use std::path::Path;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use sha2::{Digest, Sha256};

use super::folder::{Folder, write_private};
use super::process::MosquittoError;

fn trouble(error: impl std::fmt::Display) -> MosquittoError {
    MosquittoError::Certificate(error.to_string())
}

fn parameters(name: &str, names: Vec<String>) -> Result<CertificateParams, MosquittoError> {
    let mut parameters = CertificateParams::new(names).map_err(trouble)?;
    parameters.distinguished_name.push(DnType::CommonName, name);
    // Fixed, as a host without a clock of its own starts in the past.
    parameters.not_before = date_time_ymd(2024, 1, 1);
    parameters.not_after = date_time_ymd(2124, 1, 1);
    Ok(parameters)
}

/// Makes what is missing: the authority once, the broker's certificate each time. `server.pem` holds both, so that a
/// client which knows the fingerprint alone is shown the authority.
///
/// # Errors
/// When they cannot be made, or the folder cannot be written.
pub fn prepare(folder: &Folder, host: &str) -> Result<(), MosquittoError> {
    let (authority_file, key_file) = (folder.authority(), folder.path().join("ca.key"));
    let authority_key = match fs::read_to_string(&key_file) {
        Ok(text) => KeyPair::from_pem(&text).map_err(trouble)?,
        Err(_) => KeyPair::generate().map_err(trouble)?,
    };
    let mut authority = parameters("Strandwatch's own authority", Vec::new())?;
    authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    if !key_file.exists() || !authority_file.exists() {
        let certificate = authority.self_signed(&authority_key).map_err(trouble)?;
        write_private(&key_file, authority_key.serialize_pem().as_bytes())?;
        write_private(&authority_file, certificate.pem().as_bytes())?;
    }
    let issuer = Issuer::from_params(&authority, &authority_key);
    let key = KeyPair::generate().map_err(trouble)?;
    let mut names: Vec<String> =
        [host, "localhost", "127.0.0.1", "::1"].map(str::to_owned).to_vec();
    names.dedup();
    let mut server = parameters(host, names)?;
    server.use_authority_key_identifier_extension = true;
    server.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let certificate = server.signed_by(&key, &issuer).map_err(trouble)?;
    let authority_pem = fs::read_to_string(&authority_file)
        .map_err(|error| MosquittoError::File { file: authority_file, error })?;
    let chain = format!("{}{authority_pem}", certificate.pem());
    write_private(&folder.path().join("server.key"), key.serialize_pem().as_bytes())?;
    write_private(&folder.path().join("server.pem"), chain.as_bytes())
}

/// The SHA-256 fingerprint of a certificate, 64 hexadecimal digits.
pub fn fingerprint(certificate: &CertificateDer<'_>) -> String {
    use std::fmt::Write as _;
    Sha256::digest(certificate.as_ref()).iter().fold(String::new(), |mut text, byte| {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The fingerprint of the authority in a PEM file.
///
/// # Errors
/// When it is not there or no certificate.
pub fn fingerprint_of(file: &Path) -> Result<String, MosquittoError> {
    let certificate = CertificateDer::from_pem_file(file).map_err(trouble)?;
    Ok(fingerprint(&certificate))
}
