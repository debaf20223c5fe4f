//! Checks what a program declares before anything is built from it. Cloudflare would refuse a mistake only at the deployment, or
//! never.

use crate::{Binding, BindingKind, ClassChange, Consumer, Description, limits, names};
use std::collections::HashSet;

/// The names of a Worker's events. The runtime would deliver such an event to an RPC method of the same name. (The names that no
/// class may use are refused by `#[rpc]` already.)
const EVENTS: [&str; 8] = ["scheduled", "queue", "email", "tail", "tailStream", "trace", "test", "trigger"];

/// Why a declaration cannot be deployed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DeclarationError {
    /// A binding has a name that no program could write.
    #[error("`{name}` cannot be the name of a binding ({kind}): use letters, digits and `_`, and begin with no digit")]
    BindingName {
        /// The name.
        name: String,
        /// The resource, in words.
        kind: String,
    },
    /// A bucket has a name that R2 refuses.
    #[error(
        "`{name}` cannot be the name of an R2 bucket: use 3 to 63 lower-case letters, digits and `-`, with no `-` at an end"
    )]
    BucketName {
        /// The name.
        name: String,
    },
    /// A queue has a name that Cloudflare refuses.
    #[error("`{name}` cannot be the name of a queue: use up to 63 letters, digits and `-`, with no `-` at an end")]
    QueueName {
        /// The name.
        name: String,
    },
    /// An option of a consumer is out of bounds.
    #[error("the queue `{queue}`: `{option}` is {value}, and may be {least} to {most}")]
    ConsumerOption {
        /// The queue.
        queue: String,
        /// The option.
        option: &'static str,
        /// Its value.
        value: u32,
        /// The smallest one allowed.
        least: u32,
        /// The largest one allowed.
        most: u32,
    },
    /// A Worker consumes a queue twice.
    #[error("the Worker asks for the messages of the queue `{queue}` twice; remove one `cx.consume(..)`")]
    ConsumerTwice {
        /// The queue.
        queue: String,
    },
    /// The default of a JSON variable is not JSON.
    #[error("the default of the variable `{name}` is no JSON: {problem}")]
    JsonDefault {
        /// The variable.
        name: String,
        /// What the parser says.
        problem: String,
    },
    /// A cron expression that Cloudflare refuses.
    #[error("the cron trigger `{expression}`: {problem}")]
    Cron {
        /// The expression.
        expression: String,
        /// Which part of it is wrong.
        problem: String,
    },
    /// The Worker has a handler for events that it does not ask for.
    #[error("the Worker handles {what} and asks for none: implement {how}")]
    NothingAsked {
        /// The events.
        what: &'static str,
        /// The trait, and the call that asks.
        how: &'static str,
    },
    /// The Worker asks for events that it has no handler for.
    #[error("the Worker asks for {what} and handles none: implement {how}")]
    NothingHandled {
        /// The events.
        what: &'static str,
        /// The trait, and the call that asks.
        how: &'static str,
    },
    /// A method of the Worker has the name of an event, so it would get the platform's events.
    #[error("the Worker's method `{method}` has the name of an event; rename it, or give it `#[rpc(name = \"..\")]`")]
    EventName {
        /// The method.
        method: String,
    },
    /// Two statements say what became of the same class.
    #[error("two options of `#[worker]` say what became of the class `{class}`; keep the one that is true")]
    ChangedTwice {
        /// The class.
        class: String,
    },
    /// The Worker hosts a class that a statement says is gone.
    #[error(
        "`#[worker]` says that the class `{class}` is gone, and the Worker hosts a class of that name; remove the statement, or the class from `hosts(..)`"
    )]
    ChangedAndHosted {
        /// The class.
        class: String,
    },
    /// A statement leads to a class that the Worker does not host.
    #[error(
        "`#[worker]` says that the objects of `{from}` are now in `{class}`, which the Worker does not host; list it in `hosts(..)`"
    )]
    ChangedToNothing {
        /// The class that changed.
        from: String,
        /// The class that it became.
        class: String,
    },
    /// A statement transfers a class from a script to the same script.
    #[error(
        "`#[worker]` says that the class `{class}` was transferred between the script `{script}` and itself; name the other script"
    )]
    TransferredToItself {
        /// The class.
        class: String,
        /// The script.
        script: String,
    },
    /// The Worker has both forms of a class history: statements and `migrations`.
    #[error(
        "`#[worker]` has `migrations` and says what became of the class `{class}`; with `migrations`, the file says so: add a \
         step to it"
    )]
    TwoHistories {
        /// The class.
        class: String,
    },
}

impl Description {
    /// Checks that Cloudflare would take the names, limits and expressions, that every event has a handler and every handler
    /// an event, and that the statements about classes agree with what the Worker hosts.
    ///
    /// # Errors
    /// The first declaration that is wrong.
    pub fn check(&self) -> Result<(), DeclarationError> {
        self.bindings.iter().try_for_each(check_binding)?;
        self.crons.iter().try_for_each(|cron| check_cron(cron))?;
        let mut queues = HashSet::new();
        for consumer in &self.consumers {
            if !queues.insert(&consumer.queue) {
                return Err(DeclarationError::ConsumerTwice { queue: consumer.queue.clone() });
            }
            check_consumer(consumer)?;
        }
        self.check_events()?;
        self.check_classes()
    }

    fn check_events(&self) -> Result<(), DeclarationError> {
        let handles = |name: &str| self.worker.handlers.iter().any(|handler| handler == name);
        for (handler, asked, what, how) in [
            ("scheduled", !self.crons.is_empty(), "cron triggers", "`Scheduled`, and ask with `cx.cron(..)`"),
            ("queue", !self.consumers.is_empty(), "messages of a queue", "`Consume`, and ask with `cx.consume(..)`"),
        ] {
            match (handles(handler), asked) {
                (true, false) => return Err(DeclarationError::NothingAsked { what, how }),
                (false, true) => return Err(DeclarationError::NothingHandled { what, how }),
                _ => {}
            }
        }
        let methods = self.entrypoints.iter().flat_map(|entrypoint| &entrypoint.methods);
        match self.worker.methods.iter().chain(methods).find(|method| EVENTS.contains(&method.name.as_str())) {
            Some(method) => Err(DeclarationError::EventName { method: method.name.clone() }),
            None => Ok(()),
        }
    }

    fn check_classes(&self) -> Result<(), DeclarationError> {
        let hosts = |class: &str| self.objects.iter().any(|object| object.class == class);
        for (index, change) in self.class_changes.iter().enumerate() {
            let class = change.subject().to_string();
            if self.migrations.is_some() {
                return Err(DeclarationError::TwoHistories { class });
            }
            if self.class_changes[..index].iter().any(|other| other.subject() == class) {
                return Err(DeclarationError::ChangedTwice { class });
            }
            match change.hosted() {
                Some(to) if !hosts(to) => {
                    return Err(DeclarationError::ChangedToNothing { from: class, class: to.into() });
                }
                to if to != Some(&class) && hosts(&class) => return Err(DeclarationError::ChangedAndHosted { class }),
                _ => {}
            }
            if let ClassChange::TransferredTo { script, .. } | ClassChange::TransferredFrom { script, .. } = change
                && *script == self.worker.script
            {
                return Err(DeclarationError::TransferredToItself { class, script: script.clone() });
            }
        }
        Ok(())
    }
}

fn check_binding(Binding { name, kind }: &Binding) -> Result<(), DeclarationError> {
    if !names::is_identifier(name) || name == "__proto__" {
        return Err(DeclarationError::BindingName { name: name.clone(), kind: kind.to_string() });
    }
    match kind {
        BindingKind::R2Bucket { bucket } if !is_bucket(bucket) => {
            Err(DeclarationError::BucketName { name: bucket.clone() })
        }
        BindingKind::Queue { queue } => check_queue(queue),
        BindingKind::Json { default: Some(default) } => serde_json::from_str::<serde_json::Value>(default)
            .map(drop)
            .map_err(|error| DeclarationError::JsonDefault { name: name.clone(), problem: error.to_string() }),
        _ => Ok(()),
    }
}

fn is_bucket(name: &str) -> bool {
    limits::BUCKET_NAME_LENGTH.contains(&name.len()) && names::is_label(name)
}

fn check_queue(name: &str) -> Result<(), DeclarationError> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    let length = 1..=limits::QUEUE_NAME_LENGTH_MAX;
    if length.contains(&name.len()) && name.bytes().all(legal) && !name.starts_with('-') && !name.ends_with('-') {
        return Ok(());
    }
    Err(DeclarationError::QueueName { name: name.into() })
}

fn check_consumer(consumer: &Consumer) -> Result<(), DeclarationError> {
    check_queue(&consumer.queue)?;
    consumer.dead_letter_queue.iter().try_for_each(|queue| check_queue(queue))?;
    for (option, value, least, most) in [
        ("max_batch_size", consumer.max_batch_size.map(u32::from), 1, limits::QUEUE_BATCH_SIZE_MAX),
        ("max_batch_timeout", consumer.max_batch_timeout.map(u32::from), 0, limits::QUEUE_BATCH_TIMEOUT_MAX_S),
        ("max_retries", consumer.max_retries.map(u32::from), 0, limits::QUEUE_RETRIES_MAX),
        ("retry_delay", consumer.retry_delay, 0, limits::QUEUE_DELAY_MAX_S),
        ("max_concurrency", consumer.max_concurrency.map(u32::from), 1, limits::QUEUE_CONCURRENCY_MAX),
    ] {
        if let Some(value) = value.filter(|value| !(least..=most).contains(value)) {
            return Err(DeclarationError::ConsumerOption { queue: consumer.queue.clone(), option, value, least, most });
        }
    }
    Ok(())
}

const MONTHS: [&str; 12] = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];
const DAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];

/// A field of a cron expression.
struct Field {
    name: &'static str,
    least: u32,
    most: u32,
    names: &'static [&'static str],
    /// Whether the field takes this text besides numbers, from Cloudflare's "Cron Triggers" page.
    special: fn(&str) -> bool,
}

const FIELDS: [Field; 5] = [
    Field { name: "minute", least: 0, most: 59, names: &[], special: |_| false },
    Field { name: "hour", least: 0, most: 23, names: &[], special: |_| false },
    Field { name: "day of the month", least: 1, most: 31, names: &[], special: is_special_day },
    Field { name: "month", least: 1, most: 12, names: &MONTHS, special: |_| false },
    Field { name: "day of the week", least: 1, most: 7, names: &DAYS, special: is_special_weekday },
];

/// Whether `text` is one of the special days of the month, such as `L`, `LW`, `L-3` and `15W`.
fn is_special_day(text: &str) -> bool {
    let day = |text: &str| text.parse::<u32>().is_ok_and(|day| (1..=31).contains(&day));
    matches!(text, "L" | "LW" | "W")
        || text.strip_prefix("L-").is_some_and(day)
        || text.strip_suffix('W').is_some_and(day)
}

/// Whether `text` is one of the special days of the week, such as `5L` and `2#3`.
fn is_special_weekday(text: &str) -> bool {
    let weekday = |text: &str| number(text, &FIELDS[4]).is_some();
    let nth = |(day, nth): (&str, &str)| weekday(day) && matches!(nth, "1" | "2" | "3" | "4" | "5");
    text == "L" || text.strip_suffix('L').is_some_and(weekday) || text.split_once('#').is_some_and(nth)
}

fn number(text: &str, field: &Field) -> Option<u32> {
    let named = || Some(field.names.iter().position(|name| text.eq_ignore_ascii_case(name))? as u32 + field.least);
    let plain = text.parse().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()));
    plain.or_else(named).filter(|number| (field.least..=field.most).contains(number))
}

/// Checks a cron expression as Cloudflare does.
///
/// # Errors
/// When Cloudflare would refuse it.
pub fn check_cron(expression: &str) -> Result<(), DeclarationError> {
    let bad = |problem| Err(DeclarationError::Cron { expression: expression.into(), problem });
    let parts: Vec<&str> = expression.split_whitespace().collect();
    if parts.len() != FIELDS.len() {
        return bad(format!("it has {} fields, and needs 5: minute, hour, day, month, day of the week", parts.len()));
    }
    let wrong = FIELDS.iter().zip(&parts).find(|(field, part)| !part.split(',').all(|item| is_item(item, field)));
    match wrong {
        Some((field, part)) => bad(format!("`{part}` is no {} ({} to {})", field.name, field.least, field.most)),
        None => Ok(()),
    }
}

fn is_item(item: &str, field: &Field) -> bool {
    let (range, step) = item.split_once('/').map_or((item, None), |(range, step)| (range, Some(step)));
    if step.is_some_and(|step| !step.parse().is_ok_and(|step: u32| step > 0 && step <= field.most.max(1))) {
        return false;
    }
    match range.split_once('-') {
        _ if range == "*" || (range == "?" && field.most != 59 && field.most != 23) => true,
        _ if step.is_none() && (field.special)(&range.to_ascii_uppercase()) => true,
        Some((first, last)) => number(first, field).is_some() && number(last, field).is_some(),
        None => number(range, field).is_some(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cron_expressions_are_those_of_cloudflare() {
        for good in [
            "* * * * *",
            "*/30 * * * *",
            "45 * * * *",
            "0 17 * * sun",
            "10 7 * * mon-fri",
            "0 15 1 * *",
            "0 18 * * 6L",
            "59 23 LW * *",
            "0 0 1,15 JAN-MAR,12 2#1",
            "5-59/10 0 L-3 * 1-7",
            "0 0 15W,2 * ?",
        ] {
            assert_eq!(check_cron(good), Ok(()), "{good}");
        }
        for (bad, why) in [
            ("every 5 minutes", "3 fields"),
            ("75 * * * *", "`75` is no minute (0 to 59)"),
            ("* 24 * * *", "`24` is no hour"),
            ("* * 0 * *", "day of the month"),
            ("* * * FOO *", "`FOO` is no month"),
            ("* * * * 0", "`0` is no day of the week (1 to 7)"),
            ("*/0 * * * *", "minute"),
            ("1-+5 * * * *", "minute"),
            ("", "0 fields"),
        ] {
            let error = check_cron(bad).unwrap_err().to_string();
            assert!(error.contains(why), "{bad}: {error}");
        }
    }

    #[test]
    fn names_and_limits_are_those_of_cloudflare() {
        let binding = |name: &str, kind: BindingKind| check_binding(&Binding { name: name.into(), kind });
        let secret = || BindingKind::SecretText {};
        assert_eq!(binding("API_KEY", secret()), Ok(()));
        for bad in ["", "my data!", "__proto__", "1st", "a.b"] {
            assert!(
                binding(bad, secret()).unwrap_err().to_string().contains("cannot be the name of a binding"),
                "{bad}"
            );
        }
        let bucket = |name: &str| binding("B", BindingKind::R2Bucket { bucket: name.into() });
        assert_eq!(bucket("my-files-2"), Ok(()));
        assert!(["FILES", "ab", "-ab", "a_b"].iter().all(|name| bucket(name).is_err()));
        let queue = |name: &str| binding("Q", BindingKind::Queue { queue: name.into() });
        assert_eq!(queue("jobs-2"), Ok(()));
        assert!(queue("My_Jobs!").is_err());
        assert!(
            binding("J", BindingKind::Json { default: Some("{".into()) })
                .unwrap_err()
                .to_string()
                .contains("is no JSON")
        );
        let consumer = Consumer { queue: "jobs".into(), max_batch_size: Some(200), ..Consumer::default() };
        assert!(
            check_consumer(&consumer).unwrap_err().to_string().contains("`max_batch_size` is 200, and may be 1 to 100")
        );
        let delay = |seconds| {
            check_consumer(&Consumer { queue: "jobs".into(), retry_delay: Some(seconds), ..Consumer::default() })
        };
        assert_eq!(delay(86_400), Ok(()), "24 hours since February 2026");
        assert!(delay(86_401).unwrap_err().to_string().contains("may be 0 to 86400"));
    }
}
