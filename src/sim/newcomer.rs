//! A newcomer as an app would be one: it knows an invitation, gets a credential. The demo's and the tests'.

use std::time::Duration;

use tokio::sync::broadcast::Receiver;
use tokio::time::timeout;

use crate::core::types::{BadName, Name};
use crate::mqtt::client::Received;
use crate::mqtt::enrolment::{Agreed, Code, Credential, Hello, Message, Pair, key_bytes, open};
use crate::mqtt::fault::Fault;
use crate::mqtt::requester::{RequestError, Requester};
use crate::mqtt::wire::{Delivery, Qos};
use crate::mqtt::{Base, Broker, Login, Tls};

/// How long the daemon may take to answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// Why there is no credential.
#[derive(Debug, thiserror::Error)]
pub enum NewcomerError {
    /// No connection.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// Something could not be said.
    #[error(transparent)]
    Unsaid(#[from] RequestError),
    /// A name.
    #[error(transparent)]
    Name(#[from] BadName),
    /// The invitation is gone.
    #[error("refused: {0}")]
    Refused(String),
    /// The other end does not keep to the protocol, or is gone.
    #[error("{0}")]
    Strange(&'static str),
}

/// A newcomer on its way.
pub struct Newcomer {
    requester: Requester,
    messages: Receiver<Received>,
    base: Base,
    code: Code,
    agreed: Option<Agreed>,
}

impl Newcomer {
    /// Connects with what an invitation says: where the broker is, whom to trust there, the base topic, the code.
    ///
    /// # Errors
    /// When the broker does not let it in.
    pub async fn connect(
        (host, port): (&str, u16),
        tls: Option<Tls>,
        base: Base,
        code: Code,
    ) -> Result<Self, NewcomerError> {
        let login = Some(Login { user: code.account(), password: code.password() });
        let broker = Broker { host: host.to_owned(), port, tls, login };
        let answers = vec![base.enrolment_response(&code.label())];
        let who = Name::parse("newcomer")?;
        let (requester, messages) =
            Requester::connect_to(&broker, base.clone(), who, answers).await?;
        Ok(Self { requester, messages, base, code, agreed: None })
    }

    /// Presents the code and a name; gives the number to be compared with what the daemon shows.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn present(&mut self, name: &str) -> Result<String, NewcomerError> {
        let pair = Pair::fresh().ok_or(NewcomerError::Strange("no random bytes"))?;
        let mine = pair.public();
        let hello = Hello::new(&self.code, self.base.as_str(), name, &pair);
        self.say(&Message::Hello(hello)).await?;
        let Message::Key { key } = self.hear().await? else {
            return Err(NewcomerError::Strange("the daemon sent no key"));
        };
        let bad = || NewcomerError::Strange("the daemon's key is none");
        let (ours, theirs) = (key_bytes(&mine), key_bytes(&key));
        let (ours, theirs) = ours.zip(theirs).ok_or_else(bad)?;
        let agreed = pair.agree(&self.code, self.base.as_str(), name, (&ours, &theirs));
        let agreed = agreed.ok_or_else(bad)?;
        self.say(&Message::Key { key: mine }).await?;
        let number = agreed.number.clone();
        self.agreed = Some(agreed);
        Ok(number)
    }

    /// Waits until the owner has confirmed.
    ///
    /// # Errors
    /// When the owner refuses, or the invitation burns.
    pub async fn welcome(mut self) -> Result<Credential, NewcomerError> {
        let Message::Welcome { sealed } = self.hear().await? else {
            return Err(NewcomerError::Strange("the daemon sent no credential"));
        };
        let opened = self.agreed.as_ref().and_then(|agreed| open(agreed, &sealed));
        let credential = opened.and_then(|text| serde_json::from_str(&text).ok());
        let credential =
            credential.ok_or(NewcomerError::Strange("the credential cannot be opened"))?;
        self.say(&Message::Done).await?;
        Ok(credential)
    }

    /// Says something on the invitation's topic.
    ///
    /// # Errors
    /// When the broker does not take it.
    pub async fn say(&self, message: &Message) -> Result<(), NewcomerError> {
        let delivery = Delivery { qos: Qos::AtLeastOnce, retain: false, expiry: None };
        let body = serde_json::to_vec(message).unwrap_or_default();
        let topic = self.base.enrolment_request(&self.code.label());
        Ok(self.requester.publish(topic, body, delivery).await?)
    }

    /// The next message of the daemon.
    ///
    /// # Errors
    /// When it is a refusal, or none comes.
    pub async fn hear(&mut self) -> Result<Message, NewcomerError> {
        let received = timeout(PATIENCE, self.messages.recv()).await;
        let Ok(Ok(received)) = received else {
            return Err(NewcomerError::Strange("the daemon says nothing"));
        };
        match serde_json::from_slice(&received.payload) {
            Ok(Message::Refused { reason }) => Err(NewcomerError::Refused(reason)),
            Ok(message) => Ok(message),
            Err(_) => Err(NewcomerError::Strange("the daemon said what is not understood")),
        }
    }
}
