//! Fitted rankers in postcard, a compact binary form of serde: through a `dyn` [`Scorer`] too, and one within another.

use std::io::{Error, Result, Write};

use serde::de::{Deserialize, Deserializer, Error as _};
use serde::ser::{Error as _, Serialize, Serializer};

use crate::baselines::Scorer;

/// What can be written without its type being known.
pub trait Encode {
    /// # Errors
    /// What `out` says.
    fn encode(&self, out: &mut dyn Write) -> Result<()>;
}

impl<T: Serialize> Encode for T {
    fn encode(&self, out: &mut dyn Write) -> Result<()> {
        let mut out = Remembering { out, error: None };
        let done = postcard::to_io(self, &mut out).map(|_| ());
        match (out.error, done) {
            (Some(error), _) => Err(error),
            (None, done) => done.map_err(Error::other),
        }
    }
}

/// Keeps why a write failed: postcard says only that it did.
struct Remembering<'a> {
    out: &'a mut dyn Write,
    error: Option<Error>,
}

impl Remembering<'_> {
    fn remember<T>(&mut self, done: Result<T>) -> Result<T> {
        done.map_err(|e| {
            let kind = e.kind();
            self.error = Some(e);
            kind.into()
        })
    }
}

impl Write for Remembering<'_> {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        let done = self.out.write(bytes);
        self.remember(done)
    }

    fn write_all(&mut self, bytes: &[u8]) -> Result<()> {
        let done = self.out.write_all(bytes);
        self.remember(done)
    }

    /// The file is flushed once, when it ends.
    fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}

struct Bytes<'a>(&'a [u8]);

impl Serialize for Bytes<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> std::result::Result<S::Ok, S::Error> {
        to.serialize_bytes(self.0)
    }
}

/// Its name, and itself as bytes.
impl Serialize for dyn Scorer {
    fn serialize<S: Serializer>(&self, to: S) -> std::result::Result<S::Ok, S::Error> {
        let mut bytes = Vec::new();
        self.encode(&mut bytes).map_err(S::Error::custom)?;
        (self.name(), Bytes(&bytes)).serialize(to)
    }
}

impl<'de> Deserialize<'de> for Box<dyn Scorer> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> std::result::Result<Self, D::Error> {
        let (name, bytes): (&str, &[u8]) = Deserialize::deserialize(from)?;
        let scorer = crate::systems::decode(name, bytes);
        let scorer = scorer.ok_or_else(|| D::Error::custom(format!("no ranker is a {name:?}")))?;
        scorer.map_err(D::Error::custom)
    }
}
