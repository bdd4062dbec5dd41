//! A credential, shown once: for people with a QR code, for programs as JSON; and for a broker that is not ours, the
//! lines that its owner must write.

use anyhow::Context;
use qrcode::QrCode;
use qrcode::render::unicode::Dense1x2;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use super::desk::Desk;
use crate::cli::output::say;
use crate::cli::{Exit, Failure, OrExit, Outcome};
use crate::core::authz::Grant;
use crate::core::types::Name;
use crate::mqtt::access;
use crate::mqtt::managed::accounts::Hash;
use crate::mqtt::managed::{Settings, fingerprint_of};

pub(super) struct Credential<'a> {
    pub desk: &'a Desk,
    pub name: &'a Name,
    pub grant: &'a Grant,
    pub secret: &'a SecretString,
}

/// How our own broker is reached from elsewhere.
pub(super) struct Address {
    pub host: String,
    pub port: u16,
    /// SHA-256 of the authority, hexadecimal; `None` without TLS, on this host alone.
    pub authority: Option<String>,
}

impl Address {
    pub fn of(settings: &Settings) -> Result<Self, Failure> {
        let Some(port) = settings.lan_port else {
            let host = "127.0.0.1".to_owned();
            return Ok(Self { host, port: settings.local_port, authority: None });
        };
        let authority = fingerprint_of(&settings.folder.authority()).or_exit(Exit::Internal)?;
        Ok(Self { host: settings.host.clone(), port, authority: Some(authority) })
    }

    /// As a URI: everything that a client must know beside its name and secret.
    pub fn uri(&self, login: &str, base: &str) -> String {
        let scheme = if self.authority.is_some() { "mqtts" } else { "mqtt" };
        let pin = self.authority.as_ref().map(|hash| format!("&ca_sha256={hash}"));
        let Self { host, port, .. } = self;
        format!("{scheme}://{login}@{host}:{port}/?base={base}{}", pin.unwrap_or_default())
    }
}

/// A QR code for a terminal, light on dark.
pub(super) fn qr(text: &str) -> Result<String, Failure> {
    let code =
        QrCode::new(text.as_bytes()).context("cannot make a QR code").or_exit(Exit::Internal)?;
    let (dark, light) = (Dense1x2::Light, Dense1x2::Dark);
    Ok(code.render().dark_color(dark).light_color(light).quiet_zone(true).build())
}

impl Credential<'_> {
    pub fn show(&self, as_json: bool) -> Outcome {
        match (&self.desk.managed, as_json) {
            (Some(settings), true) => say(self.own_json(&Address::of(settings)?)),
            (Some(settings), false) => self.own_text(settings, &Address::of(settings)?)?,
            (None, true) => say(self.foreign_json()?),
            (None, false) => self.foreign_text()?,
        }
        Ok(Exit::Well)
    }

    fn uri(&self, address: &Address) -> String {
        let login = format!("{}:{}", self.name, self.secret.expose_secret());
        address.uri(&login, self.desk.access.base.as_str())
    }

    fn facts(&self) -> Value {
        json!({
            "client": self.name, "secret": self.secret.expose_secret(),
            "rights": self.grant.rights, "printers": self.grant.printers,
            "base": self.desk.access.base.as_str(),
        })
    }

    fn own_json(&self, address: &Address) -> Value {
        let mut facts = self.facts();
        facts["broker"] = json!({
            "host": address.host, "port": address.port, "tls": address.authority.is_some(),
            "ca_sha256": address.authority, "local_port": self.desk.mqtt.port,
        });
        facts["uri"] = self.uri(address).into();
        facts
    }

    fn own_text(&self, settings: &Settings, address: &Address) -> Result<(), Failure> {
        say(format_args!("client {} may {}.", self.name, self.may()));
        say("Its secret is shown this once and kept nowhere:");
        say("");
        say(format_args!("  user         {}", self.name));
        say(format_args!("  secret       {}", self.secret.expose_secret()));
        say(format_args!("  host         {}", address.host));
        match &address.authority {
            Some(hash) => {
                say(format_args!("  port         {} (TLS)", address.port));
                say(format_args!("  fingerprint  {hash} (SHA-256 of the authority)"));
                say(format_args!("  authority    {}", settings.folder.authority().display()));
            }
            None => say(format_args!("  port         {} (on this host alone)", address.port)),
        }
        say(format_args!("  topics       below {}/client/{}/", self.desk.access.base, self.name));
        say("");
        say(qr(&self.uri(address))?);
        Ok(())
    }

    fn may(&self) -> String {
        let rights: Vec<&str> = self.grant.rights.iter().map(|right| right.name()).collect();
        let printers = self.grant.printers.as_ref().map_or_else(
            || "every printer".to_owned(),
            |printers| printers.iter().map(Name::as_str).collect::<Vec<_>>().join(", "),
        );
        format!("{} on {printers}", rights.join(", "))
    }

    fn lines(&self) -> Result<(String, String), Failure> {
        let hash = Hash::of(self.secret).or_exit(Exit::Internal)?;
        let rules = self.desk.access.of_client(self.name, self.grant);
        let user = self.name.as_str();
        Ok((hash.password_file_line(user), access::acl_file(user, &rules)))
    }

    fn foreign_json(&self) -> Result<Value, Failure> {
        let (password, acl) = self.lines()?;
        let mut facts = self.facts();
        facts["broker"] = json!({
            "host": self.desk.mqtt.host, "port": self.desk.mqtt.port,
            "tls": self.desk.mqtt.tls.is_some(),
        });
        facts["password_file"] = password.into();
        facts["acl_file"] = acl.into();
        facts["home_assistant_login"] =
            json!({ "username": self.name, "password": self.secret.expose_secret() });
        Ok(facts)
    }

    fn foreign_text(&self) -> Result<(), Failure> {
        let (password, acl) = self.lines()?;
        let indented = acl.replace('\n', "\n    ");
        let indented = indented.trim_end();
        let secret = self.secret.expose_secret();
        say(format_args!(
            "client {name} may {may}, as soon as your broker {host}:{port} knows it. Strandwatch cannot write there.
Its secret is shown this once and kept nowhere:

  user    {name}
  secret  {secret}

For a Mosquitto of yours, add to the file that password_file names

    {password}

and to the file that acl_file names

    {indented}

and reload it: sudo systemctl reload mosquitto

For Home Assistant's Mosquitto add-on, add to `logins` in the add-on's configuration

    - username: {name}
      password: {secret}

and to its access list the same lines as to acl_file above: with `customize: active: true`, that is the file which
acl_file names in /share/mosquitto/*.conf; there the users `homeassistant` and `addons` need `topic readwrite #`.
Restart the add-on.",
            name = self.name,
            may = self.may(),
            host = self.desk.mqtt.host,
            port = self.desk.mqtt.port,
        ));
        Ok(())
    }
}
