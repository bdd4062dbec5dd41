//! The people of the demo: each gets a credential as people do, by `strandwatch client`, at the daemon's own broker.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use serde_json::Value;
use tokio::process::Command;
use tokio::sync::broadcast::Receiver;

use crate::core::types::Name;
use crate::mqtt::client::Received;
use crate::mqtt::enrolment::Code;
use crate::mqtt::fault::Fault;
use crate::mqtt::requester::Requester;
use crate::mqtt::{Base, Broker, Login, Tls};
use crate::sim::newcomer::Newcomer;
use crate::sim::stage::BASE;

/// The broker may take so long to be there.
const PATIENCE: Duration = Duration::from_secs(20);

/// The house where they live: the daemon's configuration, and how its broker is reached.
pub struct House {
    /// This program.
    pub program: PathBuf,
    /// The daemon's configuration.
    pub config: PathBuf,
    /// The folder of its broker.
    pub broker: PathBuf,
    /// The broker's port for the network.
    pub lan_port: u16,
}

impl House {
    /// `strandwatch client … --json`.
    pub async fn client(&self, arguments: &[&str]) -> anyhow::Result<Value> {
        let output = Command::new(&self.program)
            .arg("client")
            .args(arguments)
            .arg("--json")
            .arg("--config")
            .arg(&self.config)
            .output()
            .await?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            bail!("strandwatch client {}: {said}", arguments.join(" "));
        }
        serde_json::from_slice(&output.stdout).context("what `strandwatch client` prints")
    }

    fn tls(&self) -> Tls {
        Tls { ca_file: Some(self.broker.join("ca.pem")) }
    }

    /// Connects over the network, with TLS; everything that is public arrives.
    pub async fn connect(
        &self,
        name: &str,
        secret: &str,
    ) -> anyhow::Result<(Requester, Receiver<Received>)> {
        let base = Base::parse(BASE)?;
        let login = Login { user: name.to_owned(), password: secret.to_owned().into() };
        let broker = Broker {
            host: "localhost".to_owned(),
            port: self.lan_port,
            tls: Some(self.tls()),
            login: Some(login),
        };
        let filters = [base.printer_filters(None), base.daemon_filters().to_vec()].concat();
        let connecting = async {
            loop {
                let name = Name::parse(name)?;
                match Requester::connect(&broker, base.clone(), name, &filters).await {
                    Err(Fault::Unreachable { .. }) => {
                        tokio::time::sleep(Duration::from_millis(100)).await;
                    }
                    other => return anyhow::Ok(other?),
                }
            }
        };
        tokio::time::timeout(PATIENCE, connecting).await.context("waiting for the broker")?
    }

    /// A newcomer with the code of an invitation.
    pub async fn newcomer(&self, code: &str) -> anyhow::Result<Newcomer> {
        let address = ("localhost", self.lan_port);
        let base = Base::parse(BASE)?;
        Ok(Newcomer::connect(address, Some(self.tls()), base, Code::parse(code)?).await?)
    }
}
