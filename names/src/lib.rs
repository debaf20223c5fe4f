//! The rules for names: on the wire, in a script, and in Cloudflare's API. The macros apply them when a program is compiled, the other
//! crates to what they read. The crate depends on `std` only, so that the macros stay quick to build.

/// Method names that never reach an object, because the runtime or JavaScript itself takes them.
///
/// From workerd's `worker-rpc.c++` (reserved methods, and whatever is on `Object.prototype`), and from the properties that
/// its stubs have themselves.
const RESERVED: [(&str, &str); 26] = [
    ("fetch", "the HTTP handler; implement `Fetch` instead"),
    ("connect", "the TCP handler"),
    ("alarm", "the alarm handler"),
    ("webSocketMessage", "a WebSocket handler"),
    ("webSocketClose", "a WebSocket handler"),
    ("webSocketError", "a WebSocket handler"),
    ("dup", "a method of every stub"),
    ("delete", "a method of every stub"),
    ("id", "a property of every stub"),
    ("name", "a property of every stub"),
    ("ctx", "a property of every object"),
    ("env", "a property of every object"),
    ("then", "what makes a value a promise"),
    ("__realgar", "how Realgar's own stubs call"),
    ("constructor", "on every JavaScript object"),
    ("toString", "on every JavaScript object"),
    ("toLocaleString", "on every JavaScript object"),
    ("valueOf", "on every JavaScript object"),
    ("hasOwnProperty", "on every JavaScript object"),
    ("isPrototypeOf", "on every JavaScript object"),
    ("propertyIsEnumerable", "on every JavaScript object"),
    ("__proto__", "on every JavaScript object"),
    ("__defineGetter__", "on every JavaScript object"),
    ("__defineSetter__", "on every JavaScript object"),
    ("__lookupGetter__", "on every JavaScript object"),
    ("__lookupSetter__", "on every JavaScript object"),
];

/// The longest script name that still gets a `workers.dev` address, in bytes (one DNS label, RFC 1035).
pub const SCRIPT_NAME_LENGTH_MAX: usize = 63;

/// Why `name` cannot be a method's name on the wire, if it cannot.
#[must_use]
pub fn method_name_problem(name: &str) -> Option<String> {
    if let Some((_, why)) = RESERVED.iter().find(|(reserved, _)| *reserved == name) {
        return Some(format!(
            "`{name}` cannot be an RPC method: it is {why}; rename the method, or give it `#[rpc(name = \"..\")]`"
        ));
    }
    (!is_identifier(name)).then(|| {
        format!("`{name}` cannot be an RPC method: use ASCII letters, digits, `_` and `$`, not starting with a digit")
    })
}

/// The words that cannot be the name of a class in a JavaScript module.
pub const JS_WORDS: [&str; 47] = [
    "arguments",
    "await",
    "break",
    "case",
    "catch",
    "class",
    "const",
    "continue",
    "debugger",
    "default",
    "delete",
    "do",
    "else",
    "enum",
    "eval",
    "export",
    "extends",
    "false",
    "finally",
    "for",
    "function",
    "if",
    "implements",
    "import",
    "in",
    "instanceof",
    "interface",
    "let",
    "new",
    "null",
    "package",
    "private",
    "protected",
    "public",
    "return",
    "static",
    "super",
    "switch",
    "this",
    "throw",
    "true",
    "try",
    "typeof",
    "var",
    "void",
    "while",
    "with",
];

/// Further words that cannot be the name of a parameter or of a type in TypeScript.
pub const TYPESCRIPT_WORDS: [&str; 13] = [
    "any",
    "async",
    "bigint",
    "boolean",
    "never",
    "number",
    "object",
    "string",
    "symbol",
    "type",
    "undefined",
    "unknown",
    "yield",
];

/// Why `name` cannot be the name of a class, if it cannot.
#[must_use]
pub fn class_name_problem(name: &str) -> Option<String> {
    (!is_identifier(name) || name.starts_with("__") || JS_WORDS.contains(&name)).then(|| {
        format!(
            "`{name}` cannot be a class name: use ASCII letters, digits, `_` and `$`, not starting with a digit or `__`, \
             and no word of JavaScript"
        )
    })
}

/// Whether `name` is one label of a domain: `a-z`, `0-9` and `-`, not starting or ending with `-`. The caller checks its length.
#[must_use]
pub fn is_label(name: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !name.is_empty() && name.bytes().all(legal) && !name.starts_with('-') && !name.ends_with('-')
}

/// Whether Cloudflare takes `name` for a script: any of `A-Z`, `a-z`, `0-9`, `-` and `_`. For ours see [`script_name_problem`].
#[must_use]
pub fn is_any_script_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

/// Why `name` cannot be the name of a Worker script, if it cannot.
#[must_use]
pub fn script_name_problem(name: &str) -> Option<String> {
    let good = name.len() <= SCRIPT_NAME_LENGTH_MAX && is_label(name);
    (!good).then(|| {
        format!(
            "`{name}` cannot be the name of a Worker: use 1 to {SCRIPT_NAME_LENGTH_MAX} of `a-z`, `0-9` and `-`, \
             not starting or ending with `-`"
        )
    })
}

/// Whether `name` is an identifier of JavaScript in ASCII. Words of the language are not excluded.
#[must_use]
pub fn is_identifier(name: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'$';
    name.bytes().all(legal) && name.bytes().next().is_some_and(|first| !first.is_ascii_digit())
}

/// `get_by_id` as `getById`. Leading underscores stay.
#[must_use]
pub fn camel_case(snake: &str) -> String {
    let body = snake.trim_start_matches('_');
    let mut name = snake[..snake.len() - body.len()].to_string();
    let mut upper = false;
    for character in body.chars() {
        match character {
            '_' => upper = true,
            _ if upper => {
                name.push(character.to_ascii_uppercase());
                upper = false;
            }
            _ => name.push(character),
        }
    }
    name
}

/// `WorkerA` as `worker-a`: the script name of a Worker that does not give one.
#[must_use]
pub fn kebab_case(class: &str) -> String {
    let characters: Vec<char> = class.chars().collect();
    let mut name = String::with_capacity(class.len() + 4);
    for (index, &current) in characters.iter().enumerate() {
        let before = index.checked_sub(1).map(|before| characters[before]);
        let starts_word = current.is_ascii_uppercase()
            && before.is_some_and(|before| {
                let next_is_lower = characters.get(index + 1).is_some_and(char::is_ascii_lowercase);
                before.is_ascii_lowercase() || before.is_ascii_digit() || (before.is_ascii_uppercase() && next_is_lower)
            });
        if starts_word {
            name.push('-');
        }
        name.push(if current == '_' { '-' } else { current.to_ascii_lowercase() });
    }
    name
}

/// The 64-bit FNV-1a hash of `text`, to tell one text from another.
#[must_use]
pub fn fingerprint(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn method_names_become_camel_case() {
        for (snake, camel) in [
            ("get", "get"),
            ("get_by_id", "getById"),
            ("_get_x", "_getX"),
            ("v2_api", "v2Api"),
            ("web_socket_message", "webSocketMessage"),
        ] {
            assert_eq!(camel_case(snake), camel);
        }
    }

    #[test]
    fn class_names_become_kebab_case() {
        for (class, script) in [
            ("Api", "api"),
            ("WorkerA", "worker-a"),
            ("HTTPServer", "http-server"),
            ("V2Api", "v2-api"),
            ("snake_case", "snake-case"),
        ] {
            assert_eq!(kebab_case(class), script);
        }
    }

    #[test]
    fn only_dns_labels_are_script_names() {
        for good in ["a", "api-2", "0"] {
            assert_eq!(script_name_problem(good), None);
        }
        for bad in ["", "-a", "a-", "A", "a_b", "ä", &"a".repeat(64)] {
            assert!(script_name_problem(bad).is_some(), "{bad}");
        }
    }

    #[test]
    fn reserved_and_unspeakable_method_names_are_refused() {
        for bad in ["fetch", "then", "toString", "2x", "a-b", "", "ä"] {
            assert!(method_name_problem(bad).is_some(), "{bad}");
        }
        assert_eq!(method_name_problem("increment"), None);
    }
}
