//! Cron expressions: what they mean, and when they fire next in a time zone.

use crate::{Error, Result, runtime::js};
use serde::{Deserialize, Serialize};
use std::{borrow::Cow, fmt};

/// A cron expression in a time zone. [`cron!`](crate::cron) checks an expression in the source at compile time; [`Cron::parse`]
/// takes an expression that comes from elsewhere.
///
/// The five fields are those of Unix: minute, hour, day of the month, month, weekday. A field is `*`, a value, a range `1-5`, `*`
/// or a range with a step `*/15`, or a list of these. Months and weekdays have names, such as `JAN` and `MON`. Both 0 and 7 are
/// Sunday. (In Cloudflare's cron triggers of Workers, Sunday is 1; names mean the same in both.) If both the day of the month and
/// the weekday are given, a day that matches either fires.
///
/// When clocks change, an expression with specific hours fires once for each of them: if the clock shows a time twice, at the first
/// one; if the clock skips a time, as soon as it is past that time. An expression with `*` for its hours goes on by real time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Raw")]
pub struct Cron {
    expression: Cow<'static, str>,
    zone: Cow<'static, str>,
}

#[derive(Deserialize)]
struct Raw {
    expression: String,
    zone: String,
}

impl TryFrom<Raw> for Cron {
    type Error = Error;

    fn try_from(raw: Raw) -> Result<Self> {
        Self::parse(raw.expression, raw.zone)
    }
}

impl fmt::Display for Cron {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.expression, self.zone)
    }
}

impl Cron {
    /// Parses an expression, in a time zone of the IANA database, such as `Europe/Berlin` or `UTC`.
    ///
    /// # Errors
    /// What is wrong with the expression. Whether the time zone exists is found out only when an event is scheduled with it.
    pub fn parse(expression: impl Into<String>, zone: impl Into<String>) -> Result<Self> {
        let (expression, zone) = (expression.into(), zone.into());
        match Fields::parse(&expression) {
            Ok(_) => Ok(Self { expression: expression.into(), zone: zone.into() }),
            Err(problem) => Err(format!("the cron expression `{expression}`: {problem}").into()),
        }
    }

    /// The value of `cron!`, which evaluates this at compile time: a bad expression fails to compile.
    #[doc(hidden)]
    #[must_use]
    pub const fn checked(expression: &'static str, zone: &'static str) -> Self {
        if let Err(problem) = Fields::parse(expression) {
            panic!("{}", problem);
        }
        Self { expression: Cow::Borrowed(expression), zone: Cow::Borrowed(zone) }
    }

    pub(super) fn expression(&self) -> &str {
        &self.expression
    }

    pub(super) fn zone(&self) -> &str {
        &self.zone
    }

    /// When the expression fires next after `after`, both in milliseconds since 1970.
    pub(crate) fn next(&self, after: u64) -> Result<u64> {
        let fields = Fields::parse(&self.expression).map_err(Error::from)?;
        if self.zone == "UTC" {
            return found(&self.expression, fields.next(minutes(after), &|_| Ok(0))?);
        }
        let offset = |minute: i64| -> Result<i64> {
            let offset = js::zone_offset(&self.zone, minute as f64 * 60_000.0);
            offset.map(|offset| (offset / 60_000.0) as i64).map_err(|_| {
                format!(
                    "there is no time zone `{}`; write one of the IANA database, such as `Europe/Berlin`",
                    self.zone
                )
                .into()
            })
        };
        found(&self.expression, fields.next(minutes(after), &offset)?)
    }
}

fn minutes(time_ms: u64) -> i64 {
    (time_ms / 60_000) as i64
}

fn found(expression: &str, minute: Option<i64>) -> Result<u64> {
    let none = || format!("the cron expression `{expression}` does not fire in the years to come");
    minute.and_then(|minute| u64::try_from(minute * 60_000).ok()).ok_or_else(|| none().into())
}

/// The values that each field matches, as bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fields {
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    weekdays: u64,
    /// Whether the day of the month and the weekday are both given. If so, a day that matches either fires.
    either_day: bool,
}

const ALL_HOURS: u64 = (1 << 24) - 1;
const MONTHS: [&[u8]; 12] =
    [b"JAN", b"FEB", b"MAR", b"APR", b"MAY", b"JUN", b"JUL", b"AUG", b"SEP", b"OCT", b"NOV", b"DEC"];
const WEEKDAYS: [&[u8]; 7] = [b"SUN", b"MON", b"TUE", b"WED", b"THU", b"FRI", b"SAT"];

/// A field: the values it may hold, and the error message for any other value.
struct Field {
    first: u8,
    last: u8,
    names: &'static [&'static [u8]],
    range: &'static str,
}

const FIELDS: [Field; 5] = [
    Field { first: 0, last: 59, names: &[], range: "a minute is 0 to 59" },
    Field { first: 0, last: 23, names: &[], range: "an hour is 0 to 23" },
    Field { first: 1, last: 31, names: &[], range: "a day of the month is 1 to 31" },
    Field { first: 1, last: 12, names: &MONTHS, range: "a month is 1 to 12 or JAN to DEC" },
    Field { first: 0, last: 7, names: &WEEKDAYS, range: "a weekday is 0 to 7 (both are Sunday) or SUN to SAT" },
];

impl Fields {
    /// `const`, so that an expression in the source is checked by the compiler.
    const fn parse(expression: &str) -> Result<Self, &'static str> {
        let text = expression.as_bytes();
        let (mut bits, mut stars) = ([0_u64; 5], [false; 5]);
        let (mut at, mut field) = (0, 0);
        loop {
            while at < text.len() && text[at] == b' ' {
                at += 1;
            }
            if at == text.len() {
                break;
            }
            if field == 5 {
                return Err("it has more than five fields: minute, hour, day of the month, month, weekday");
            }
            stars[field] = text[at] == b'*';
            match field_bits(text, at, &FIELDS[field]) {
                Ok((values, end)) => (bits[field], at) = (values, end),
                Err(problem) => return Err(problem),
            }
            field += 1;
        }
        if field != 5 {
            return Err("it has fewer than five fields: minute, hour, day of the month, month, weekday");
        }
        // Sunday has two numbers, 0 and 7; both become bit 0.
        let weekdays = (bits[4] | bits[4] >> 7) & 0x7f;
        let fields = Self {
            minutes: bits[0],
            hours: bits[1],
            days: bits[2],
            months: bits[3],
            weekdays,
            either_day: !stars[2] && !stars[4],
        };
        if fields.never() {
            return Err("none of these months has such a day");
        }
        Ok(fields)
    }

    /// Whether the expression never fires, because no year has such a day.
    const fn never(&self) -> bool {
        const LENGTHS: [u32; 12] = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
        let mut month = 1;
        while month <= 12 {
            if self.months >> month & 1 == 1 && self.days.trailing_zeros() <= LENGTHS[month - 1] {
                return false;
            }
            month += 1;
        }
        !self.either_day
    }

    /// The first minute after `after` that fires. Minutes are counted since 1970, in UTC. `offset` returns the minutes to add to
    /// such a minute for the time on the wall.
    fn next(&self, after: i64, offset: &dyn Fn(i64) -> Result<i64>) -> Result<Option<i64>> {
        if self.hours == ALL_HOURS { self.next_real(after, offset) } else { self.next_certain(after, offset) }
    }

    /// The next minute of an expression with specific hours, each of which fires once.
    fn next_certain(&self, after: i64, offset: &dyn Fn(i64) -> Result<i64>) -> Result<Option<i64>> {
        let mut wall = after + offset(after)?;
        loop {
            let Some(next) = self.next_on_wall(wall) else { return Ok(None) };
            let minute = first_minute_at(next, offset)?;
            if minute > after {
                return Ok(Some(minute));
            }
            wall = next;
        }
    }

    /// The next minute of an expression with any hour, which goes by real time.
    fn next_real(&self, after: i64, offset: &dyn Fn(i64) -> Result<i64>) -> Result<Option<i64>> {
        let mut minute = after;
        loop {
            let current = offset(minute)?;
            let Some(next) = self.next_on_wall(minute + current) else { return Ok(None) };
            let next = next - current;
            if offset(next)? == current {
                return Ok(Some(next));
            }
            minute = change(minute, next, current, offset)?;
            let wall = minute + offset(minute)?;
            if self.next_on_wall(wall - 1) == Some(wall) {
                return Ok(Some(minute));
            }
        }
    }

    /// The first minute after `wall` that fires, by the clock on the wall.
    fn next_on_wall(&self, wall: i64) -> Option<i64> {
        /// Leap days are at most eight years apart.
        const DAYS_MAX: i64 = 366 * 9;
        let from = wall + 1;
        let (first_day, mut minute_of_day) = (from.div_euclid(1440), from.rem_euclid(1440));
        for day in first_day..first_day + DAYS_MAX {
            if self.fires_on(day)
                && let Some(minute) = self.next_in_day(minute_of_day)
            {
                return Some(day * 1440 + minute);
            }
            minute_of_day = 0;
        }
        None
    }

    fn fires_on(&self, day: i64) -> bool {
        let (month, day_of_month) = civil(day);
        // 1970 began on a Thursday.
        let weekday = (day + 4).rem_euclid(7);
        let (by_date, by_week) = (self.days >> day_of_month & 1 == 1, self.weekdays >> weekday & 1 == 1);
        self.months >> month & 1 == 1 && if self.either_day { by_date || by_week } else { by_date && by_week }
    }

    /// The first minute of a day that fires, from `minute` on.
    fn next_in_day(&self, minute: i64) -> Option<i64> {
        (minute / 60..24).find_map(|hour| {
            let from = if hour == minute / 60 { minute % 60 } else { 0 };
            let minutes = self.minutes & (u64::MAX << from);
            let fires = self.hours >> hour & 1 == 1 && minutes != 0;
            fires.then(|| hour * 60 + i64::from(minutes.trailing_zeros()))
        })
    }
}

/// The first minute at which the clock on the wall shows `wall` or later.
fn first_minute_at(wall: i64, offset: &dyn Fn(i64) -> Result<i64>) -> Result<i64> {
    let (before, after) = (offset(wall - 1440)?, offset(wall + 1440)?);
    for offset_then in [before, after] {
        let minute = wall - offset_then;
        if offset(minute)? == offset_then {
            return Ok(minute);
        }
    }
    change(wall - before.max(after) - 1, wall - before.min(after), before, offset)
}

/// The first minute after `from` and up to `to` at which the offset is no longer `current`.
fn change(mut from: i64, mut to: i64, current: i64, offset: &dyn Fn(i64) -> Result<i64>) -> Result<i64> {
    while to - from > 1 {
        let middle = from + (to - from) / 2;
        if offset(middle)? == current { from = middle } else { to = middle }
    }
    Ok(to)
}

/// The month, from 1, and the day of the month of `day`, which is counted from the beginning of 1970 (Howard Hinnant,
/// "chrono-Compatible Low-Level Date Algorithms").
fn civil(day: i64) -> (u32, u32) {
    let of_era = (day + 719_468).rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day_of_month = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (month as u32, day_of_month as u32)
}

/// The values of the field that begins at `at`, and where it ends.
const fn field_bits(text: &[u8], mut at: usize, field: &Field) -> Result<(u64, usize), &'static str> {
    let mut bits = 0_u64;
    loop {
        let (mut first, mut last) = (field.first, field.last);
        let star = at < text.len() && text[at] == b'*';
        let mut range = star;
        if star {
            at += 1;
            // `*` has Sunday only once, as 0.
            if last == 7 {
                last = 6;
            }
        } else {
            match value(text, at, field) {
                Ok((number, end)) => (first, last, at) = (number, number, end),
                Err(problem) => return Err(problem),
            }
            if at < text.len() && text[at] == b'-' {
                range = true;
                match value(text, at + 1, field) {
                    Ok((number, end)) => (last, at) = (number, end),
                    Err(problem) => return Err(problem),
                }
                if last < first {
                    return Err("a range goes from the lower value to the higher");
                }
            }
        }
        let mut step = 1;
        if at < text.len() && text[at] == b'/' {
            if !range {
                return Err("a step follows `*` or a range: `*/15`, `0-30/10`");
            }
            match digits(text, at + 1) {
                Some((0, _)) | None => return Err("a step is a number from 1 on"),
                Some((number, end)) => (step, at) = (number, end),
            }
        }
        let mut number = first as u32;
        while number <= last as u32 {
            bits |= 1 << number;
            number += step as u32;
        }
        if at == text.len() || text[at] == b' ' {
            return Ok((bits, at));
        }
        if text[at] != b',' {
            return Err("a field is `*`, a value, a range `1-5`, a step `*/15`, or a list `1,2` of these");
        }
        at += 1;
    }
}

/// The value at `at`, and where it ends.
const fn value(text: &[u8], at: usize, field: &Field) -> Result<(u8, usize), &'static str> {
    let mut name = 0;
    while name < field.names.len() {
        if starts_with(text, at, field.names[name]) {
            return Ok((name as u8 + if field.last == 12 { 1 } else { 0 }, at + 3));
        }
        name += 1;
    }
    if at < text.len() && text[at] == b'?' {
        return Err("`?` is of Quartz; here `*` stands for any value");
    }
    match digits(text, at) {
        Some((number, end)) if number >= field.first && number <= field.last => Ok((number, end)),
        _ => Err(field.range),
    }
}

/// Whether `name` is at `at`, in upper or lower case.
const fn starts_with(text: &[u8], at: usize, name: &[u8]) -> bool {
    let mut index = 0;
    while index < name.len() {
        if at + index >= text.len() || text[at + index].to_ascii_uppercase() != name[index] {
            return false;
        }
        index += 1;
    }
    true
}

/// The number of at most two digits at `at`, and where it ends.
const fn digits(text: &[u8], at: usize) -> Option<(u8, usize)> {
    let (mut number, mut end) = (0, at);
    while end < text.len() && text[end].is_ascii_digit() && end - at < 3 {
        if end - at == 2 {
            return None;
        }
        number = number * 10 + (text[end] - b'0');
        end += 1;
    }
    if end == at { None } else { Some((number, end)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(expression: &str) -> Fields {
        Fields::parse(expression).unwrap_or_else(|problem| panic!("{expression}: {problem}"))
    }

    #[test]
    fn expressions_are_those_of_unix() {
        for good in
            ["* * * * *", "*/15 0 1,15 * 1-5", "0  9 * JAN-mar MON", "5-59/10 0-23 29 2 *", "0 0 31 2 7", " 0 0 * * 0 "]
        {
            fields(good);
        }
        assert_eq!(fields("0 0 * * 7"), fields("0 0 * * SUN"));
        assert_eq!(fields("0 0 * * 5-7").weekdays, 0b110_0001);
        assert_eq!(fields("* 0-23 * * *").hours, ALL_HOURS);
        for (bad, problem) in [
            ("", "fewer than five"),
            ("* * * *", "fewer than five"),
            ("* * * * * *", "more than five"),
            ("60 * * * *", "a minute is"),
            ("* 24 * * *", "an hour is"),
            ("* * 0 * *", "a day of the month is"),
            ("0 9 ? * *", "Quartz"),
            ("* * * 13 *", "a month is"),
            ("* * * * 8", "a weekday is"),
            ("* * * * MO", "a weekday is"),
            ("5-1 * * * *", "a range goes"),
            ("5/10 * * * *", "a step follows"),
            ("*/0 * * * *", "a step is"),
            ("*/100 * * * *", "a step is"),
            ("1;2 * * * *", "a field is"),
            ("1, * * * *", "a minute is"),
            ("100 * * * *", "a minute is"),
            ("0 0 30 2 *", "none of these months"),
            ("0 0 31 4,6,9,11 *", "none of these months"),
            ("ü * * * *", "a minute is"),
        ] {
            let error = Fields::parse(bad).unwrap_err();
            assert!(error.contains(problem), "{bad}: {error}");
        }
    }

    /// A clock that is an hour ahead, and two between the minutes 10,000 and 20,000.
    fn summer(minute: i64) -> Result<i64> {
        Ok(if (10_000..20_000).contains(&minute) { 120 } else { 60 })
    }

    /// Finds the next minute by looking at one minute after the other.
    fn brute(fields: &Fields, after: i64) -> i64 {
        let on_wall = |wall: i64| {
            fields.fires_on(wall.div_euclid(1440))
                && fields.next_in_day(wall.rem_euclid(1440)) == Some(wall.rem_euclid(1440))
        };
        let shown = |minute: i64| minute + summer(minute).unwrap();
        let fires = |minute: i64| {
            let wall = shown(minute);
            if fields.hours == ALL_HOURS {
                return on_wall(wall);
            }
            // What the wall jumped over counts now; what it showed an hour ago does not count again.
            (shown(minute - 1) + 1..=wall).any(on_wall) && !(minute - 60..minute).any(|before| shown(before) == wall)
        };
        (after + 1..).find(|minute| fires(*minute)).unwrap()
    }

    #[test]
    fn the_next_minute_is_that_which_a_search_finds() {
        let expressions = [
            "* * * * *",
            "*/7 * * * *",
            "30 * * * *",
            "30 2 * * *",
            "0 */2 * * *",
            "0,20,40 22-23,0-9 * * *",
            "15 3 * * MON",
        ];
        for expression in expressions {
            let fields = fields(expression);
            for after in (8_500..21_500).step_by(37).chain([9_999, 10_000, 19_999, 20_000]) {
                let next = fields.next(after, &summer).unwrap().unwrap();
                assert_eq!(next, brute(&fields, after), "`{expression}` after {after}");
            }
        }
    }

    #[test]
    fn a_leap_day_is_found() {
        let day = |fields: Fields, after: i64| fields.next(after * 1440, &|_| Ok(0)).unwrap().unwrap() / 1440;
        // 1972-02-29, and from 2096 the one of 2104.
        assert_eq!(day(fields("0 0 29 2 *"), 0), 789);
        assert_eq!(day(fields("0 0 29 2 *"), 46_080), 49_001);
        assert_eq!(day(fields("0 0 31 2 MON"), 0), 32, "either will do: Monday, 1970-02-02");
    }
}
