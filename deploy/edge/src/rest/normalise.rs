//! Answers as Cloudflare may give them too: lists in another order, nothing in the place of what is empty, numbers as text, fields that
//! nobody asked for. What a client takes for a difference then is none.

use super::answer::Reply;
use serde_json::Value;

/// What users write as JSON, and has an order and types of its own.
const AS_IT_IS: [&str; 2] = ["json", "results"];
/// The lists that are lists also when they are empty, as the documentation shows them.
const ALWAYS_LISTS: [&str; 3] = ["buckets", "results", "schedules"];

/// Random numbers that a seed repeats (Steele, Lea and Flood, "Fast Splittable Pseudorandom Number Generators").
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % (end as u64)).unwrap_or_default()
    }
}

/// The reply in another of its forms, which `seed` and the path choose.
pub(super) fn another_form(reply: Reply, seed: u64, path: &str) -> Reply {
    let mut random = Random(path.bytes().fold(seed, |salt, byte| salt.wrapping_mul(31).wrapping_add(u64::from(byte))));
    let mut changed = |mut value: Value| {
        change(&mut value, &mut random);
        value
    };
    match reply {
        Reply::One(result) => Reply::One(changed(result)),
        Reply::With(result, info) => Reply::With(changed(result), info),
        Reply::Page { results, page, per_page, total } => {
            let results = results.into_iter().map(changed).collect();
            Reply::Page { results, page, per_page, total }
        }
        Reply::Raw(..) | Reply::Stored(_) => reply,
    }
}

fn change(value: &mut Value, random: &mut Random) {
    match value {
        Value::Array(list) => {
            list.iter_mut().for_each(|item| change(item, random));
            for last in (1..list.len()).rev() {
                list.swap(last, random.below(last + 1));
            }
        }
        Value::Object(map) => {
            for (key, own) in map.iter_mut().filter(|(key, _)| !AS_IT_IS.contains(&key.as_str())) {
                change(own, random);
                let is_setting = key == "settings" || key == "simple";
                if is_setting && random.below(2) == 0 {
                    numbers_as_text(own);
                }
            }
            for (_, own) in map.iter_mut().filter(|(key, _)| !ALWAYS_LISTS.contains(&key.as_str())) {
                let is_empty = matches!(own, Value::Array(list) if list.is_empty()) || *own == serde_json::json!({});
                if is_empty && random.below(2) == 0 {
                    *own = Value::Null;
                }
            }
            if random.below(2) == 0 {
                map.insert("a_field_of_next_year".into(), true.into());
            }
        }
        _ => {}
    }
}

fn numbers_as_text(value: &mut Value) {
    for own in value.as_object_mut().into_iter().flat_map(|map| map.values_mut()) {
        if own.is_number() {
            *own = own.to_string().into();
        }
    }
}
