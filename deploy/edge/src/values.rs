//! `.dev.vars`: the values that variables and secrets have on this machine.
//!
//! The file is read as wrangler reads it, with the npm package `dotenv` (checked against its README). Each line is `NAME=value` or
//! `export NAME=value`. There are three kinds of quotes, and a quoted value may span several lines. `\n` and `\r` are escapes in
//! double quotes only. `#` begins a comment, except in quotes. Nothing is substituted, so a `$` is a `$`.

use crate::{EdgeError, error::io};
use std::{collections::BTreeMap, fs, path::Path};

/// Reads the file `.dev.vars` in `folder`, which need not exist.
///
/// # Errors
/// When it cannot be read, or a line of it is neither a value nor a comment.
pub fn read_values(folder: &Path) -> Result<BTreeMap<String, String>, EdgeError> {
    let path = folder.join(".dev.vars");
    let text = match fs::read_to_string(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        text => text.map_err(io("read", &path))?,
    };
    parse(&text).map_err(|line| EdgeError::Values { path, line })
}

/// Fails with the number of the first line that is neither a value nor a comment.
fn parse(text: &str) -> Result<BTreeMap<String, String>, usize> {
    let mut values = BTreeMap::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start();
        if rest.is_empty() {
            return Ok(values);
        }
        if rest.starts_with('#') {
            rest = after_line(rest);
            continue;
        }
        let line = text[..text.len() - rest.len()].matches('\n').count() + 1;
        let (name, value) = line_of(rest).split_once('=').ok_or(line)?;
        let start = name.len() + 1;
        let name = name.trim();
        let name = name.strip_prefix("export").filter(|name| name.starts_with([' ', '\t'])).unwrap_or(name).trim();
        let legal = |character: char| character.is_ascii_alphanumeric() || "_.-".contains(character);
        if name.is_empty() || !name.chars().all(legal) {
            return Err(line);
        }
        let (value, after) = match quoted(&rest[start..]) {
            Some(found) => found,
            None => {
                let plain = value.split_once('#').map_or(value, |(value, _)| value);
                (plain.trim().to_string(), after_line(rest))
            }
        };
        values.insert(name.to_string(), value);
        rest = after;
    }
}

fn line_of(text: &str) -> &str {
    text.split_once('\n').map_or(text, |(line, _)| line)
}

fn after_line(text: &str) -> &str {
    text.split_once('\n').map_or("", |(_, rest)| rest)
}

/// The value in quotes at the start of `text`, and the text after its line. `None` if there are no quotes, or if they are a part of
/// the value.
fn quoted(text: &str) -> Option<(String, &str)> {
    let text = text.trim_start_matches([' ', '\t']);
    let quote = text.chars().next().filter(|first| ['"', '\'', '`'].contains(first))?;
    let body = &text[1..];
    let mut ends = body.match_indices(quote).map(|(at, _)| at);
    let end = ends.find(|at| !body[..*at].ends_with('\\'))?;
    let (value, rest) = (&body[..end], &body[end + 1..]);
    let tail = line_of(rest).trim();
    if !tail.is_empty() && !tail.starts_with('#') {
        return None;
    }
    let value = if quote == '"' { value.replace("\\n", "\n").replace("\\r", "\r") } else { value.to_string() };
    Some((value, after_line(rest)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_as_dotenv_reads_them() {
        let text = "# a comment\n\nPLAIN=one two  # with a comment\r\nexport SPACED = \" a # b \" # c\nSINGLE='\\n $HOME'\n\
                    PEM=\"-----BEGIN-----\nabc==\n-----END-----\"\nESCAPED=\"a\\nb\"\nEMPTY=\nJSON={\"a\":\"b\"}\n\
                    INNER='say \"hi\"'\nBACK=`it's`\nequals=a=b\nEND=\"open";
        let expected = [
            ("PLAIN", "one two"),
            ("SPACED", " a # b "),
            ("SINGLE", "\\n $HOME"),
            ("PEM", "-----BEGIN-----\nabc==\n-----END-----"),
            ("ESCAPED", "a\nb"),
            ("EMPTY", ""),
            ("JSON", "{\"a\":\"b\"}"),
            ("INNER", "say \"hi\""),
            ("BACK", "it's"),
            ("equals", "a=b"),
            ("END", "\"open"),
        ];
        let expected = expected.map(|(name, value)| (name.to_string(), value.to_string()));
        assert_eq!(parse(text), Ok(expected.into()));
    }

    #[test]
    fn a_line_that_makes_no_sense_is_named() {
        assert_eq!(parse("A=1\nB=\"2\n3\"\nwhat is this\n"), Err(4));
        assert_eq!(parse("=1"), Err(1));
        assert_eq!(parse("A B=1"), Err(1));
    }
}
