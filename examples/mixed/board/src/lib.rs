//! Notice boards: an object in Rust that TypeScript calls with generated types, and that calls an object in TypeScript.

use futures_util::stream;
use realgar::prelude::*;
use serde::{Deserialize, Serialize};
use std::cell::RefCell;

/// What is pinned to a board.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Note {
    pub author: String,
    pub text: String,
    pub color: Color,
    pub reply_to: Option<u32>,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Color {
    Yellow,
    Pink,
}

#[derive(Debug, Serialize, Deserialize, thiserror::Error)]
pub enum PinError {
    #[error("the moderator says no: {reason}")]
    Refused { reason: String },
    #[error("there is no note {0} to reply to")]
    NoSuchNote(u32),
    #[error("{0}")]
    Other(String),
}

impl From<realgar::RpcError> for PinError {
    fn from(error: realgar::RpcError) -> Self {
        Self::Other(error.to_string())
    }
}

/// The class `Moderator` of the Worker `web`, which is written in TypeScript.
#[durable_object]
pub struct Moderator;

/// What the moderator is asked. A plain object with `ok` and `reason` comes back.
#[rpc(for = Moderator, native)]
pub trait ModeratorRpc {
    async fn judge(&self, note: Note) -> Verdict;
}

#[derive(Debug, Serialize, Deserialize)]
pub struct Verdict {
    pub ok: bool,
    #[serde(default)]
    pub reason: Option<String>,
}

#[durable_object]
pub struct Board {
    moderators: Namespace<Moderator>,
    notes: RefCell<Vec<Note>>,
}

impl DurableObject for Board {
    fn init(cx: &mut Init) -> impl Instantiate<Self> {
        let moderators = cx.bind(Moderator::from_script("web"));
        move |_state: State| {
            let moderators = moderators.clone();
            async move { Ok(Board { moderators, notes: RefCell::default() }) }
        }
    }
}

#[rpc]
impl Board {
    /// Pins a note, if the moderator lets it, and returns its number.
    pub async fn pin(&self, note: Note) -> Result<u32, PinError> {
        if let Some(number) = note.reply_to.filter(|number| *number as usize >= self.notes.borrow().len()) {
            return Err(PinError::NoSuchNote(number));
        }
        let verdict = self.moderators.get_by_name("only").judge(note.clone()).await?;
        if !verdict.ok {
            return Err(PinError::Refused { reason: verdict.reason.unwrap_or_default() });
        }
        let mut notes = self.notes.borrow_mut();
        notes.push(note);
        Ok(notes.len() as u32 - 1)
    }

    /// All notes, the oldest first.
    pub fn notes(&self) -> Vec<Note> {
        self.notes.borrow().clone()
    }

    /// The same, one after the other.
    pub fn each(&self) -> impl Stream<Item = Note> {
        stream::iter(self.notes.borrow().clone())
    }
}

#[worker(hosts(Board), name = "board")]
pub struct Boards;

impl Worker for Boards {
    fn init(_cx: &mut Init) -> Self {
        Boards
    }
}

realgar::export!(Boards);
