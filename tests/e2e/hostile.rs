//! Values that nobody should send, into every kind of method and stream: each ends in a clear error, and the object goes on.

use crate::common::{Outcome, call, drive, isolated_kitchen, kitchen};
use realgar_test::App;
use serde_json::{Value, json};

/// A small generator of pseudo-random numbers (xorshift64*): the seed is printed, so that a failure can be repeated.
struct Random(u64);

impl Random {
    fn next(&mut self, below: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % below
    }

    /// Any value that a structured clone can carry, and some that it cannot.
    fn value(&mut self, depth: usize) -> Value {
        match self.next(if depth == 0 { 14 } else { 20 }) {
            0 => json!(null),
            1 => json!({"$": "undefined"}),
            2 => json!(self.next(2) == 0),
            3 => json!(self.next(1 << 13) as i64 - (1 << 12)),
            4 => json!(0.1 * self.next(1000) as f64),
            5 => json!({"$": "number", "value": (["NaN", "Infinity", "-0", "1e300"][self.next(4)])}),
            6 => {
                json!({"$": "bigint", "value": (["18446744073709551615", "-1", "99999999999999999999999999"][self.next(3)])})
            }
            7 => json!(["", "Point", "text", "\u{0}", "🦀", "__proto__"][self.next(6)]),
            8 => json!({"$": "surrogate"}),
            9 => json!({"$": "bytes", "value": (0..self.next(9)).map(|_| self.next(256)).collect::<Vec<_>>()}),
            10 => json!({"$": "date", "value": self.next(1 << 30)}),
            11 => json!({"$": "cycle"}),
            12 => json!({"$": "deep", "value": 50 + self.next(400)}),
            13 => json!({"$": "stream", "value": [self.frames()]}),
            14 => json!({"$": "map", "value": [[self.value(depth - 1), self.value(depth - 1)]]}),
            15 => json!({"$": "set", "value": [self.value(depth - 1)]}),
            16 | 17 => (0..self.next(4)).map(|_| self.value(depth - 1)).collect(),
            _ => {
                let keys = ["Circle", "Box", "Line", "list", "nested", "text", "__proto__", "then"];
                (0..self.next(4)).map(|_| (keys[self.next(8)].to_string(), self.value(depth - 1))).collect()
            }
        }
    }

    /// What a stream of items might say.
    fn frames(&mut self) -> String {
        let lines = [
            "{\"item\":1}\n",
            "{\"item\":-1}\n",
            "{\"item\":\"x\"}\n",
            "{\"end\":1}\n",
            "{\"end\":0}\n",
            "{}\n",
            "\n",
            "{\"error\":{\"code\":\"method_error\",\"data\":7}}\n",
            "{\"item\":",
            "[",
            "\u{1}\u{0}\u{0}\u{0}\u{0}",
            "\u{1}\u{7f}\u{7f}\u{7f}\u{7f}",
            "{\"error\":{\"code\":\"panicked\",\"message\":\"me?\"}}\n",
        ];
        (0..self.next(5)).map(|_| lines[self.next(lines.len())]).collect()
    }
}

const METHODS: [(&str, &str); 16] = [
    ("Menu", "echoText"),
    ("Menu", "echoBytes"),
    ("Menu", "echoU64"),
    ("Menu", "echoU8"),
    ("Menu", "echoOption"),
    ("Menu", "echoShape"),
    ("Menu", "echoJson"),
    ("Menu", "echoEverything"),
    ("Menu", "order"),
    ("Menu", "__realgar"),
    ("Belt", "borrowed"),
    ("Belt", "opening"),
    ("Belt", "sum"),
    ("Belt", "first"),
    ("Belt", "blocks"),
    ("Belt", "__realgar"),
];

/// What an error that was meant may have as its code. `None` is for what the runtime refuses to clone.
fn is_clear(outcome: &Outcome) -> bool {
    let Some(error) = &outcome.error else { return true };
    let own = ["bad_arguments", "bad_result", "method_error", "unknown_method", "version_skew", "truncated"];
    own.contains(&error.code.as_str())
        || error.message.contains("could not be cloned")
        || error.message.contains("Could not serialize")
}

fn alive(app: &App) {
    let outcomes =
        drive(app, &[call("Menu", "hostile", "echoU64", json!([7])), call("Belt", "hostile", "tick", json!([1, 0]))]);
    let values: Vec<Value> = outcomes.into_iter().map(Outcome::value).collect();
    assert_eq!(values, [json!(7), json!({"lines": [{"item": 0}, {"end": 1}], "rest": ""})]);
}

#[test]
fn arbitrary_values_end_in_a_clear_error_and_the_object_goes_on() {
    let apps = [kitchen(), isolated_kitchen()];
    let seed = std::env::var("REALGAR_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(|| {
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos() as u64 | 1
    });
    println!("REALGAR_SEED={seed}");
    let mut random = Random(seed);
    for (round, app) in (0..60).zip(apps.iter().cycle()) {
        let calls: Vec<Value> = (0..25)
            .map(|_| {
                let (class, method) = METHODS[random.next(METHODS.len())];
                let args: Vec<Value> = (0..random.next(4)).map(|_| random.value(3)).collect();
                let mut call = call(class, "hostile", method, json!(args));
                call["take"] = json!(20);
                call
            })
            .collect();
        for (call, outcome) in calls.iter().zip(drive(app, &calls)) {
            assert!(is_clear(&outcome), "round {round}: {call}\n{outcome:?}");
            assert!(outcome.ms < 5_000, "round {round}: a hang: {call}\n{outcome:?}");
        }
    }
    apps.iter().for_each(alive);
}

/// The bytes of a Rust caller, under the right hash: what nothing but a broken or hostile peer sends.
#[test]
fn bytes_that_fit_no_type_end_in_a_clear_error() {
    let app = kitchen();
    let entry = std::fs::read_to_string("target/realgar/workers/kitchen/dev/index.js").unwrap();
    let hash = |method: &str| {
        let start = entry.find(&format!("[\"{method}\",[")).unwrap();
        entry[start..].split('"').nth(3).unwrap().to_string()
    };
    let seed = 0x5eed_u64;
    let mut random = Random(seed);
    let mut calls = Vec::new();
    for _ in 0..300 {
        let method = ["echoShape", "echoEverything", "listKeys"][random.next(3)];
        let bytes: Vec<usize> =
            (0..random.next(40)).map(|_| if random.next(3) == 0 { 255 } else { random.next(256) }).collect();
        let payload = json!({"$": "bytes", "value": bytes});
        calls.push(call("Menu", "hostile", "__realgar", json!([method, hash(method), payload])));
    }
    for (call, outcome) in calls.iter().zip(drive(&app, &calls)) {
        assert!(is_clear(&outcome), "{call}\n{outcome:?}");
    }
    for wrong in
        [json!([]), json!([7]), json!(["echoShape", "0", 1]), json!(["echoShape", null, 1]), json!([null, null, []])]
    {
        let outcome = drive(&app, &[call("Menu", "hostile", "__realgar", wrong.clone())]).remove(0);
        assert!(outcome.error.is_some() && is_clear(&outcome), "{wrong}: {outcome:?}");
    }
    alive(&app);
}
