//! The code of an invitation.

use std::fmt;

use secrecy::SecretString;

use crate::mqtt::access::{Rule, Way};
use crate::mqtt::managed::{MosquittoError, random};
use crate::mqtt::topics::Base;

/// Crockford's base 32: no letter that looks like a digit.
const LETTERS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// Characters of a code; five bits each.
const LENGTH: usize = 20;

/// Characters of its label.
const LABEL: usize = 4;

/// A text that is no code.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "this is no code of an invitation: it has 20 letters and digits, such as 7K3F-9MZP-4XWD-T2HN-Q8VB"
)]
pub struct BadCode;

/// An invitation's code: its label (4 characters), its account's password (4) and what proves it (all 20).
#[derive(Clone, PartialEq, Eq)]
pub struct Code(String);

impl Code {
    /// A fresh one, from the operating system's random bytes.
    ///
    /// # Errors
    /// When there are none.
    pub fn fresh() -> Result<Self, MosquittoError> {
        let mut bytes = [0_u8; LENGTH];
        random(&mut bytes)?;
        // 256 is a multiple of 32: every letter is as likely.
        let letter = |byte: &u8| char::from(LETTERS[usize::from(byte % 32)]);
        Ok(Self(bytes.iter().map(letter).collect()))
    }

    /// Reads a code as people type it.
    ///
    /// # Errors
    /// When it is none.
    pub fn parse(text: &str) -> Result<Self, BadCode> {
        let plain: String = text
            .chars()
            .filter(|c| !matches!(c, '-' | ' '))
            .map(|c| match c.to_ascii_uppercase() {
                'O' => '0',
                'I' | 'L' => '1',
                other => other,
            })
            .collect();
        let good = |c: char| u8::try_from(c).is_ok_and(|byte| LETTERS.contains(&byte));
        if plain.len() == LENGTH && plain.chars().all(good) {
            Ok(Self(plain))
        } else {
            Err(BadCode)
        }
    }

    /// What names the invitation; no secret.
    pub fn label(&self) -> String {
        self.0[..LABEL].to_ascii_lowercase()
    }

    /// The account's user name at the broker. No client can have one that begins like that.
    pub fn account(&self) -> String {
        account(&self.label())
    }

    /// The account's password.
    pub fn password(&self) -> SecretString {
        self.0[LABEL..2 * LABEL].to_owned().into()
    }

    /// What the account may do: speak on its own enrolment topic, and hear the answers.
    pub fn rules(&self, base: &Base) -> Vec<Rule> {
        let label = self.label();
        vec![
            Rule { way: Way::Publish, filter: base.enrolment_request(&label) },
            Rule { way: Way::Read, filter: base.enrolment_response(&label) },
        ]
    }

    pub(super) fn bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

/// The account of an invitation.
pub(super) fn account(label: &str) -> String {
    format!("_invite-{label}")
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, letter) in self.0.chars().enumerate() {
            if index > 0 && index % LABEL == 0 {
                f.write_str("-")?;
            }
            write!(f, "{letter}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Code({}…)", self.label())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_read_as_people_type_it_and_not_shown_by_accident() {
        let code = Code::fresh().unwrap();
        let shown = code.to_string();
        assert_eq!(shown.len(), 24);
        assert_eq!(Code::parse(&shown.to_lowercase().replace('-', " ")).unwrap(), code);
        assert_eq!(Code::parse("oil0-0000-0000-0000-0000").unwrap().label(), "0110");
        assert!(!format!("{code:?}").contains(&shown[5..]));
        for bad in ["", "7K3F", "7K3F-9MZP-4XWD-T2HN-Q8VU", "7K3F-9MZP-4XWD-T2HN-Q8VÜ"] {
            assert_eq!(Code::parse(bad), Err(BadCode), "{bad}");
        }
    }
}
