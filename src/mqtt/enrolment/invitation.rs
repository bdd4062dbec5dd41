//! An invitation from its opening to its end. Whatever was not expected burns it.

use secrecy::SecretString;
use serde_json::Value;
use tokio::time::Instant;

use super::keys::{Agreed, Hello, Pair, key_bytes};
use super::{Code, Credential, FAREWELL, LAST_WORD, Message};
use crate::core::authz::Grant;
use crate::core::types::Name;

/// An open invitation, at the daemon's end.
pub struct Invitation {
    /// Its code.
    pub code: Code,
    /// What the newcomer is to be allowed.
    pub grant: Grant,
    /// When it burns.
    pub until: Instant,
    base: String,
    stage: Stage,
}

enum Stage {
    /// Nobody has come.
    Open,
    /// Somebody knows the code, and has our key.
    Greeted { hello: Hello, name: Name, pair: Pair },
    /// The number is shown; the owner is to confirm.
    Shown { name: Name, agreed: Agreed },
    /// The credential is on its way.
    Handed,
    /// It is burnt, and the newcomer is given the time to hear so.
    Ended,
}

/// What becomes of a message.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Send this.
    Reply(Message),
    /// Somebody by this name is to be compared by this number.
    Shown {
        /// The newcomer's name.
        name: Name,
        /// Four digits.
        number: String,
    },
    /// It is over, and all is well.
    Done,
    /// It is over.
    Burn(String),
    /// It was over before: nothing is to be done.
    Ignore,
}

impl Invitation {
    /// Opens one.
    pub fn new(code: Code, grant: Grant, base: &str, until: Instant) -> Self {
        Self { code, grant, until, base: base.to_owned(), stage: Stage::Open }
    }

    /// Takes a message of the newcomer. `is_free` says whether a name may be had.
    pub fn hear(
        &mut self,
        payload: &[u8],
        is_free: impl FnOnce(&Name) -> Result<(), String>,
    ) -> Outcome {
        let burn = |why: &str| Outcome::Burn(why.to_owned());
        if matches!(self.stage, Stage::Ended) {
            return Outcome::Ignore;
        }
        let Ok(message) = serde_json::from_slice::<Message>(payload) else {
            return burn("a message was not understood");
        };
        match (std::mem::replace(&mut self.stage, Stage::Open), message) {
            (Stage::Open, Message::Hello(hello)) => {
                if !hello.is_proven(&self.code, &self.base) {
                    return burn("a wrong code was presented");
                }
                let name = match Name::parse(&hello.name) {
                    Ok(name) => name,
                    Err(bad) => return Outcome::Burn(bad.to_string()),
                };
                if let Err(why) = is_free(&name) {
                    return Outcome::Burn(why);
                }
                let Some(pair) = Pair::fresh() else {
                    return burn("the system gives no random bytes");
                };
                let key = pair.public();
                self.stage = Stage::Greeted { hello, name, pair };
                Outcome::Reply(Message::Key { key })
            }
            (Stage::Greeted { hello, name, pair }, Message::Key { key }) => {
                let Some(key) = key_bytes(&key).filter(|key| hello.binds(key)) else {
                    return burn("the key is not the one that was promised");
                };
                let ours = pair.public_bytes().to_vec();
                let agreed = pair.agree(&self.code, &self.base, name.as_str(), (&key, &ours));
                let Some(agreed) = agreed else { return burn("the key is not a good one") };
                let number = agreed.number.clone();
                self.stage = Stage::Shown { name: name.clone(), agreed };
                Outcome::Shown { name, number }
            }
            (Stage::Handed, Message::Done) => Outcome::Done,
            (_, Message::Hello(_)) => burn("a second newcomer presented itself"),
            (_, _) => burn("a message came out of turn"),
        }
    }

    /// The newcomer and its number, while the owner is to confirm.
    pub fn waiting(&self) -> Option<(&Name, &str)> {
        match &self.stage {
            Stage::Shown { name, agreed } => Some((name, &agreed.number)),
            Stage::Open | Stage::Greeted { .. } | Stage::Handed | Stage::Ended => None,
        }
    }

    /// Whether the credential is on its way or it is burnt: its account is all that is left of it.
    pub fn is_over(&self) -> bool {
        matches!(self.stage, Stage::Handed | Stage::Ended)
    }

    /// Burns it: whatever is said to it from now on is not heard.
    pub fn end(&mut self) {
        self.stage = Stage::Ended;
        self.until = Instant::now() + LAST_WORD;
    }

    /// The owner has confirmed: the message that hands `secret` over. `None` when nobody waits.
    pub fn welcome(&mut self, secret: &SecretString) -> Option<Message> {
        use secrecy::ExposeSecret;
        let Stage::Shown { name, agreed } = &self.stage else { return None };
        let names = |names: &std::collections::BTreeSet<Name>| {
            names.iter().map(ToString::to_string).collect()
        };
        let credential = Credential {
            client: name.to_string(),
            secret: secret.expose_secret().to_owned(),
            base: self.base.clone(),
            rights: self.grant.rights.iter().map(|right| right.name().to_owned()).collect(),
            printers: self.grant.printers.as_ref().map(names),
        };
        let text = serde_json::to_value(credential).as_ref().map(Value::to_string).ok()?;
        let sealed = agreed.seal(&text)?;
        self.stage = Stage::Handed;
        self.until = Instant::now() + FAREWELL;
        Some(Message::Welcome { sealed })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::keys::open;
    use super::*;
    use crate::core::authz::Right;

    fn invitation() -> Invitation {
        let grant = Grant { rights: [Right::View].into(), printers: None };
        let until = Instant::now() + Duration::from_secs(60);
        Invitation::new(Code::fresh().unwrap(), grant, "sw", until)
    }

    fn hear(invitation: &mut Invitation, message: &Message) -> Outcome {
        invitation.hear(&serde_json::to_vec(message).unwrap(), |_| Ok(()))
    }

    fn burnt(outcome: &Outcome, why: &str) {
        assert!(matches!(outcome, Outcome::Burn(because) if because.contains(why)), "{outcome:?}");
    }

    /// A newcomer up to its number.
    fn meet(invitation: &mut Invitation) -> Agreed {
        let code = invitation.code.clone();
        let pair = Pair::fresh().unwrap();
        let mine = pair.public();
        let hello = Message::Hello(Hello::new(&code, "sw", "phone", &pair));
        let Outcome::Reply(Message::Key { key }) = hear(invitation, &hello) else { panic!() };
        let daemon = key_bytes(&key).unwrap();
        let ours = key_bytes(&mine).unwrap();
        let agreed = pair.agree(&code, "sw", "phone", (&ours, &daemon)).unwrap();
        let shown = hear(invitation, &Message::Key { key: mine });
        let number = agreed.number.clone();
        assert_eq!(shown, Outcome::Shown { name: Name::parse("phone").unwrap(), number });
        agreed
    }

    #[test]
    fn both_ends_have_the_same_number_and_the_credential_opens_with_it_alone() {
        let mut invitation = invitation();
        let agreed = meet(&mut invitation);
        let other = meet(&mut self::invitation());
        let Some(Message::Welcome { sealed }) = invitation.welcome(&"s3cr3t".into()) else {
            panic!()
        };
        assert!(open(&agreed, &sealed).unwrap().contains("s3cr3t"));
        assert_eq!(open(&other, &sealed), None);
        assert!(invitation.welcome(&"again".into()).is_none(), "once");
        assert_eq!(hear(&mut invitation, &Message::Done), Outcome::Done);
    }

    #[test]
    fn whatever_is_not_expected_burns_it() {
        let pair = Pair::fresh().unwrap();
        let other = Code::fresh().unwrap();
        let wrong = Message::Hello(Hello::new(&other, "sw", "phone", &pair));
        burnt(&hear(&mut invitation(), &wrong), "wrong code");

        let mut unpromised = invitation();
        let hello = Message::Hello(Hello::new(&unpromised.code, "sw", "phone", &pair));
        hear(&mut unpromised, &hello);
        let key = Pair::fresh().unwrap().public();
        burnt(&hear(&mut unpromised, &Message::Key { key }), "promised");

        let mut renamed = invitation();
        let mut hello = Hello::new(&renamed.code, "sw", "phone", &pair);
        hello.name = "owner".to_owned();
        burnt(&hear(&mut renamed, &Message::Hello(hello)), "wrong code");

        let mut twice = invitation();
        meet(&mut twice);
        let again = Message::Hello(Hello::new(&twice.code, "sw", "tablet", &pair));
        burnt(&hear(&mut twice, &again), "second newcomer");

        burnt(&hear(&mut invitation(), &Message::Done), "out of turn");
        burnt(&invitation().hear(b"{}", |_| Ok(())), "not understood");
        let mut taken = invitation();
        let hello = Message::Hello(Hello::new(&taken.code, "sw", "phone", &pair));
        let taken = taken.hear(&serde_json::to_vec(&hello).unwrap(), |_| Err("taken".to_owned()));
        burnt(&taken, "taken");
    }

    #[test]
    fn somebody_in_between_makes_the_numbers_differ() {
        // It hands the newcomer a key of its own instead of the daemon's, and passes all else on.
        let agree = || {
            let mut invitation = invitation();
            let code = invitation.code.clone();
            let (pair, between) = (Pair::fresh().unwrap(), Pair::fresh().unwrap());
            let mine = key_bytes(&pair.public()).unwrap();
            let public = pair.public();
            hear(&mut invitation, &Message::Hello(Hello::new(&code, "sw", "phone", &pair)));
            let theirs = key_bytes(&between.public()).unwrap();
            let newcomer = pair.agree(&code, "sw", "phone", (&mine, &theirs)).unwrap();
            let Outcome::Shown { number, .. } =
                hear(&mut invitation, &Message::Key { key: public })
            else {
                panic!()
            };
            number == newcomer.number
        };
        // One in ten thousand agrees by chance.
        assert!((0..50).filter(|_| agree()).count() <= 1);
    }
}
