//! Reminders: one object for each person, with a schedule. A reminder runs once or by a cron expression, in the person's time zone. One
//! that cannot be delivered is tried again, and in the end is a dead letter, which is replayed when the person has an address.
//!
//! `GET /ada` shows everything; `PUT /ada/address`, with the address; `POST /ada/reminders`, with a [`Wish`] in JSON;
//! `DELETE /ada/reminders/ID`; `POST /ada/replay`.

use realgar::{Cron, Event, Namespace, OnEvent, Pending, Retry, Schedule, ScheduleSettings, When, cron, prelude::*};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How many of each there are to see.
const SHOWN: u32 = 100;

/// What is to happen later.
#[derive(Serialize, Deserialize)]
pub enum Job {
    Remind {
        text: String,
    },
    /// Forgets what was sent long ago.
    Tidy,
}

/// What somebody wants to be reminded of: after some seconds, or whenever a cron expression fires.
#[derive(Serialize, Deserialize)]
pub struct Wish {
    id: String,
    text: String,
    after_seconds: Option<u64>,
    cron: Option<String>,
    /// Of the IANA database.
    zone: Option<String>,
}

/// Everything there is of a person.
#[derive(Serialize, Deserialize)]
pub struct Overview {
    waiting: Vec<Waiting>,
    sent: Vec<Sent>,
    undelivered: Vec<Undelivered>,
}

#[derive(Serialize, Deserialize)]
pub struct Waiting {
    id: String,
    next_ms: u64,
}

#[derive(Serialize, Deserialize)]
pub struct Sent {
    address: String,
    text: String,
    at_ms: u64,
}

#[derive(Serialize, Deserialize)]
pub struct Undelivered {
    id: String,
    why: String,
}

#[durable_object]
pub struct Person {
    state: State,
}

impl DurableObject for Person {
    fn init(_cx: &mut Init) -> impl Instantiate<Self> {
        |state: State| async {
            let sent =
                "CREATE TABLE IF NOT EXISTS sent (address TEXT NOT NULL, text TEXT NOT NULL, at_ms INTEGER NOT NULL)";
            state.sql().execute(sent, ())?;
            // The same again is no other one: it goes on in its rhythm.
            state.schedule::<Self>().set("tidy", cron!("0 4 * * SUN"), &Job::Tidy)?;
            Ok(Person { state })
        }
    }
}

#[rpc]
impl Person {
    pub fn remind(&self, wish: Wish) -> Result<()> {
        let when = match (wish.after_seconds, wish.cron) {
            (Some(seconds), None) => When::after(Duration::from_secs(seconds)),
            (None, Some(expression)) => Cron::parse(expression, wish.zone.unwrap_or_else(|| "UTC".into()))?.into(),
            _ => return Err("a reminder has either `after_seconds` or `cron`".into()),
        };
        self.schedule().set(&wish.id, when, &Job::Remind { text: wish.text }).map(drop)
    }

    pub fn forget(&self, id: String) -> Result<bool> {
        self.schedule().cancel(&id)
    }

    pub fn set_address(&self, address: String) -> Result<()> {
        self.state.storage().kv().put("address", &address)
    }

    /// Tries again to deliver what could not be delivered. Returns how many there were.
    pub fn replay(&self) -> Result<usize> {
        let letters = self.schedule().dead_letters(SHOWN)?;
        for letter in &letters {
            self.schedule().replay(letter.number())?;
        }
        Ok(letters.len())
    }

    pub fn overview(&self) -> Result<Overview> {
        let waiting = |event: Pending<Job>| Waiting { id: event.id().into(), next_ms: event.next_ms() };
        let letters = self.schedule().dead_letters(SHOWN)?;
        let undelivered =
            letters.iter().map(|letter| Undelivered { id: letter.id().into(), why: letter.error().into() });
        Ok(Overview {
            waiting: self
                .schedule()
                .list(SHOWN)?
                .into_iter()
                .filter(|event| event.id() != "tidy")
                .map(waiting)
                .collect(),
            sent: self.state.sql().query("SELECT address, text, at_ms FROM sent ORDER BY at_ms LIMIT ?", (SHOWN,))?,
            undelivered: undelivered.collect(),
        })
    }
}

impl OnEvent for Person {
    type Payload = Job;

    const SCHEDULE: ScheduleSettings =
        ScheduleSettings::new().retry(Retry::new().attempts(4).first(Duration::from_secs(10)));

    async fn event(&self, event: Event<Job>) -> Result<()> {
        match event.payload {
            Job::Remind { text } => self.deliver(&text, event.due_ms),
            Job::Tidy => {
                let week = Duration::from_hours(7 * 24).as_millis() as u64;
                let old = event.due_ms.saturating_sub(week);
                self.state.sql().execute("DELETE FROM sent WHERE at_ms < ?", (old,)).map(drop)
            }
        }
    }
}

impl Person {
    fn schedule(&self) -> Schedule<Job> {
        self.state.schedule::<Self>()
    }

    /// Stands for sending: what is sent is in the table.
    fn deliver(&self, text: &str, at_ms: u64) -> Result<()> {
        let address: Option<String> = self.state.storage().kv().get("address")?;
        let address = address.ok_or("nobody knows the address")?;
        self.state.sql().execute("INSERT INTO sent VALUES (?, ?, ?)", (address, text, at_ms)).map(drop)
    }
}

#[worker(hosts(Person))]
pub struct Reminders {
    people: Namespace<Person>,
}

impl Worker for Reminders {
    fn init(cx: &mut Init) -> Self {
        Reminders { people: cx.bind(Person::from::<Self>()) }
    }

    async fn fetch(&self, mut request: Request, _cx: &Context) -> Result<Response> {
        let path = request.path();
        let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
        Ok(match (request.method(), &parts[..]) {
            (Method::Get, [name]) if !name.is_empty() => {
                Response::from_json(&self.people.get_by_name(name).overview().await?)?
            }
            (Method::Put, [name, "address"]) => {
                self.people.get_by_name(name).set_address(request.text().await?).await?;
                Response::empty()?.with_status(204)
            }
            (Method::Post, [name, "reminders"]) => {
                let Ok(wish) = request.json::<Wish>().await else {
                    return Ok(Response::error("expected {\"id\", \"text\", \"after_seconds\" or \"cron\"}", 400)?);
                };
                match self.people.get_by_name(name).remind(wish).await {
                    Ok(()) => Response::empty()?.with_status(201),
                    Err(CallError::Method(error)) => Response::error(error.to_string(), 400)?,
                    Err(error) => return Err(error.into()),
                }
            }
            (Method::Delete, [name, "reminders", id]) => {
                let known = self.people.get_by_name(name).forget((*id).into()).await?;
                Response::empty()?.with_status(if known { 204 } else { 404 })
            }
            (Method::Post, [name, "replay"]) => Response::from_json(&self.people.get_by_name(name).replay().await?)?,
            _ => Response::error("no such thing", 404)?,
        })
    }
}

realgar::export!(Reminders);
