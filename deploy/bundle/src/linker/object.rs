//! Changes what a function of an object file refers to, before the file is linked. The format is that of the tool conventions of
//! WebAssembly: <https://github.com/WebAssembly/tool-conventions/blob/main/Linking.md>. The functions return `None` for a file that
//! is malformed, or of another kind than expected.

use std::ops::Range;

/// The end of the symbol of the function that panics when a string is cut inside of a character. It writes that character with the
/// function behind `{:?}`. For that alone a program has tables of all characters that can be printed: 3 KB of a compressed bundle.
/// Nearly every program cuts a string somewhere; the base crate does it with the URL of a request. A program that writes a string
/// or a character with `{:?}` has the tables anyhow.
const PANIC: &str = "_4core3str19slice_error_fail_rt";

/// The function behind `{:?}` of a character: a part of its symbol, and the end of it.
const DEBUG_OF_CHAR: (&str, &str) = ("_4core3fmtc", "_5Debug3fmt");

/// The functions that write a `u32`, or a `usize`, which has the same size. If a program uses both, they are one function. A `char`
/// is a `u32` in memory. The panicking function already uses one of them to write positions.
const DISPLAY_OF_INTEGER: [(&str, &str); 2] =
    [("_4core3fmt3num3impm", "_7Display3fmt"), ("_4core3fmt3num3impj", "_7Display3fmt")];

const IMPORTS: u8 = 2;
const CODE: u8 = 10;
const RELOCATIONS_OF_CODE: &str = "reloc.CODE";
const SYMBOLS: &str = "linking";

/// The object file, changed so that the panic writes the number of the character, for which it needs no tables.
pub(crate) fn with_plain_panic(object: &[u8]) -> Option<Vec<u8>> {
    let sections = sections(object)?;
    let named = |name: &str| sections.iter().find(|section| section.name == name);
    let code = sections.iter().position(|section| section.id == CODE)?;
    let relocations = named(RELOCATIONS_OF_CODE)?;
    let symbols = symbols(named(SYMBOLS)?.reader(object))?;
    let imports = sections.iter().find(|section| section.id == IMPORTS);
    let imported = imports.map_or(Some(0), |section| imported_functions(section.reader(object)))?;

    let panic = symbols.iter().find(|symbol| symbol.name.ends_with(PANIC))?;
    let body = body(&sections[code], object, panic.function?.checked_sub(imported)?)?;
    let mut uses = addresses_used(relocations.reader(object), code)?;
    uses.retain(|used| body.contains(&used.at));
    let instead = DISPLAY_OF_INTEGER.into_iter().find_map(|what| of(&uses, &symbols, what).next())?.symbol;
    let places: Vec<&Range<usize>> = of(&uses, &symbols, DEBUG_OF_CHAR).map(|used| &used.place).collect();
    (!places.is_empty()).then(|| rewritten(object, relocations, &places, instead))
}

/// The object file with the symbol `symbol` at `places` of the section. The length of the section may change.
fn rewritten(object: &[u8], section: &Section, places: &[&Range<usize>], symbol: usize) -> Vec<u8> {
    let (mut content, mut at) = (Vec::new(), section.content.start);
    for place in places {
        content.extend_from_slice(&object[at..place.start]);
        push_number(&mut content, symbol);
        at = place.end;
    }
    content.extend_from_slice(&object[at..section.content.end]);
    let mut rewritten = object[..section.size].to_vec();
    push_number(&mut rewritten, content.len());
    rewritten.extend(content);
    rewritten.extend_from_slice(&object[section.content.end..]);
    rewritten
}

struct Section {
    id: u8,
    /// The name of a custom section; empty for the others.
    name: String,
    /// The position of its size.
    size: usize,
    /// The content, which follows the size.
    content: Range<usize>,
    /// The position after the name, or the start of the content if there is no name.
    start: usize,
}

impl Section {
    fn reader<'a>(&self, object: &'a [u8]) -> Reader<'a> {
        Reader { bytes: &object[..self.content.end], at: self.start }
    }
}

fn sections(object: &[u8]) -> Option<Vec<Section>> {
    let mut reader = Reader { bytes: object.strip_prefix(b"\0asm\x01\0\0\0").map(|_| object)?, at: 8 };
    let mut sections = Vec::new();
    while reader.at < object.len() {
        let (id, size) = (reader.byte()?, reader.at);
        let length = reader.number()?;
        let content = reader.skip(length)?;
        let mut inside = Reader { bytes: &object[..content.end], at: content.start };
        let name = if id == 0 { inside.name()? } else { String::new() };
        sections.push(Section { id, name, size, content, start: inside.at });
    }
    Some(sections)
}

/// The number of imported functions. They come first in the numbering of functions.
fn imported_functions(mut reader: Reader) -> Option<usize> {
    let mut functions = 0;
    for _ in 0..reader.number()? {
        reader.name()?;
        reader.name()?;
        match reader.byte()? {
            // A function and its type.
            0 => {
                reader.number()?;
                functions += 1;
            }
            // A table, which is of a type, and a memory.
            1 => {
                reader.byte()?;
                reader.limits()?;
            }
            2 => reader.limits()?,
            // A global: its type, and whether it changes.
            3 => {
                reader.skip(2)?;
            }
            // A tag, which is of a type.
            4 => {
                reader.byte()?;
                reader.number()?;
            }
            _ => return None,
        }
    }
    Some(functions)
}

/// The range of a function's body, in the content of the code section.
fn body(code: &Section, object: &[u8], function: usize) -> Option<Range<usize>> {
    let mut reader = code.reader(object);
    let count = reader.number()?;
    for _ in 0..function {
        let length = reader.number()?;
        reader.skip(length)?;
    }
    let length = (function < count).then(|| reader.number())??;
    let body = reader.skip(length)?;
    Some(body.start - code.content.start..body.end - code.content.start)
}

struct Symbol {
    name: String,
    function: Option<usize>,
}

/// The symbols, in the order by which relocations refer to them.
fn symbols(mut reader: Reader) -> Option<Vec<Symbol>> {
    const TABLE: u8 = 8;
    const UNDEFINED: usize = 0x10;
    const NAMED: usize = 0x40;
    let _version = reader.number()?;
    while reader.byte()? != TABLE {
        let length = reader.number()?;
        reader.skip(length)?;
    }
    let _length = reader.number()?;
    let mut symbols = Vec::new();
    for _ in 0..reader.number()? {
        let (kind, flags) = (reader.byte()?, reader.number()?);
        let is_defined = flags & UNDEFINED == 0;
        let mut symbol = Symbol { name: String::new(), function: None };
        match kind {
            // Data. If it is defined: the segment, the offset and the size.
            1 => {
                symbol.name = reader.name()?;
                for _ in 0..if is_defined { 3 } else { 0 } {
                    reader.number()?;
                }
            }
            // A section.
            3 => {
                reader.number()?;
            }
            // A function, a global, a tag or a table. An imported one has the name of its import, unless it has a name of its own.
            0 | 2 | 4 | 5 => {
                let index = reader.number()?;
                symbol.function = (kind == 0).then_some(index);
                if is_defined || flags & NAMED != 0 {
                    symbol.name = reader.name()?;
                }
            }
            _ => return None,
        }
        symbols.push(symbol);
    }
    Some(symbols)
}

/// A relocation in the code for the address of a function.
struct Use {
    /// The position of the address, in the content of the code section.
    at: usize,
    symbol: usize,
    /// The position of the symbol's number, in the file.
    place: Range<usize>,
}

/// The uses of functions whose symbols contain `what.0` and end with `what.1`.
fn of<'a>(uses: &'a [Use], symbols: &'a [Symbol], what: (&'a str, &'a str)) -> impl Iterator<Item = &'a Use> {
    let is = move |symbol: &Symbol| symbol.name.contains(what.0) && symbol.name.ends_with(what.1);
    uses.iter().filter(move |used| symbols.get(used.symbol).is_some_and(is))
}

fn addresses_used(mut reader: Reader, code: usize) -> Option<Vec<Use>> {
    const ADDRESS_OF_FUNCTION: u8 = 1;
    /// The kinds of relocations that have an addend, a further number that is added to the address.
    const WITH_ADDEND: [u8; 14] = [3, 4, 5, 8, 9, 11, 14, 15, 16, 17, 21, 22, 23, 25];
    if reader.number()? != code {
        return None;
    }
    let mut uses = Vec::new();
    for _ in 0..reader.number()? {
        let (kind, at) = (reader.byte()?, reader.number()?);
        let start = reader.at;
        let symbol = reader.number()?;
        if kind == ADDRESS_OF_FUNCTION {
            uses.push(Use { at, symbol, place: start..reader.at });
        }
        if WITH_ADDEND.contains(&kind) {
            reader.number()?;
        }
    }
    Some(uses)
}

/// Reads the numbers and names of a part of a file.
struct Reader<'a> {
    /// The file up to the end of that part.
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn byte(&mut self) -> Option<u8> {
        let byte = *self.bytes.get(self.at)?;
        self.at += 1;
        Some(byte)
    }

    /// A number in LEB128. For a negative number, its bits.
    fn number(&mut self) -> Option<usize> {
        let (mut number, mut shift) = (0_u64, 0);
        loop {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f).checked_shl(shift)?;
            if byte & 0x80 == 0 {
                return usize::try_from(number).ok();
            }
            shift += 7;
        }
    }

    fn skip(&mut self, length: usize) -> Option<Range<usize>> {
        let range = self.at..self.at.checked_add(length)?;
        self.at = range.end;
        (self.at <= self.bytes.len()).then_some(range)
    }

    fn name(&mut self) -> Option<String> {
        let length = self.number()?;
        let range = self.skip(length)?;
        Some(String::from_utf8_lossy(&self.bytes[range]).into_owned())
    }

    /// The limits of a table or a memory.
    fn limits(&mut self) -> Option<()> {
        let has_maximum = self.byte()? & 1 == 1;
        self.number()?;
        if has_maximum {
            self.number()?;
        }
        Some(())
    }
}

fn push_number(bytes: &mut Vec<u8>, mut number: usize) {
    while number >= 0x80 {
        bytes.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    const CUT: &str = "_RNvNtCs1_4core3str19slice_error_fail_rt";
    const SYMBOL_OF_DEBUG: usize = 301;
    const SYMBOL_OF_DISPLAY: usize = 302;
    /// Where the bodies of the two functions are.
    const BODIES: [u8; 2] = [2, 6];
    const DISPLAY_OF_U32: &str = "_RNvXs8_NtNtNtCs1_4core3fmt3num3impmNtB9_7Display3fmt";
    const DISPLAY_OF_USIZE: &str = "_RNvXs8_NtNtNtCs1_4core3fmt3num3impjNtB9_7Display3fmt";

    fn number(number: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        push_number(&mut bytes, number);
        bytes
    }

    fn name(name: &str) -> Vec<u8> {
        [number(name.len()), name.into()].concat()
    }

    fn section(id: u8, content: &[u8]) -> Vec<u8> {
        [vec![id], number(content.len()), content.to_vec()].concat()
    }

    /// An imported function, one with the symbol `panic`, and one more; both use the functions of these symbols.
    fn object(panic: &str, display: &str, used: [usize; 2]) -> Vec<u8> {
        // A memory, a table, a global, a tag; and the function.
        let kinds: [&[u8]; 5] = [&[2, 1, 1, 2], &[1, 0x70, 0, 1], &[3, 0x7f, 1], &[4, 0, 0], &[0, 0]];
        let import = |kind: &&[u8]| [name("env"), name("it"), kind.to_vec()].concat();
        let imports = section(IMPORTS, &[vec![5], kinds.iter().flat_map(import).collect()].concat());
        let code = section(CODE, &[2, 3, 0, 0, 0, 3, 0, 0, 0]);
        let undefined_data = [vec![1, 0x10], name("d")].concat();
        let function = |index: u8, symbol: &str| [vec![0, 0, index], name(symbol)].concat();
        let defined =
            [function(1, panic), function(2, "_RNvXsj_NtCs1_4core3fmtcNtB5_5Debug3fmt"), function(2, display)];
        let table = [number(303), undefined_data.repeat(300), defined.concat()].concat();
        let symbols = section(0, &[name(SYMBOLS), vec![2, 8], number(table.len()), table].concat());
        let uses = |at: u8| used.iter().flat_map(move |symbol| [vec![1, at], number(*symbol)].concat());
        let entries: Vec<u8> = uses(BODIES[0]).chain([4, 3, 5, 127]).chain(uses(BODIES[1])).collect();
        let relocations = section(0, &[name(RELOCATIONS_OF_CODE), vec![1, 5], entries].concat());
        [b"\0asm\x01\0\0\0".to_vec(), imports, code, symbols, relocations, section(0, &name("last"))].concat()
    }

    fn symbols_used(object: &[u8]) -> Vec<(usize, usize)> {
        let sections = sections(object).unwrap();
        let relocations = sections.iter().find(|section| section.name == RELOCATIONS_OF_CODE).unwrap();
        let uses = addresses_used(relocations.reader(object), 1).unwrap();
        uses.iter().map(|used| (used.at, used.symbol)).collect()
    }

    #[test]
    fn the_panic_and_nothing_else_refers_to_another_function() {
        let [first, second] = BODIES.map(usize::from);
        for display in [DISPLAY_OF_U32, DISPLAY_OF_USIZE] {
            let before = object(CUT, display, [SYMBOL_OF_DEBUG, SYMBOL_OF_DISPLAY]);
            let after = with_plain_panic(&before).unwrap();
            let expected = [
                (first, SYMBOL_OF_DISPLAY),
                (first, SYMBOL_OF_DISPLAY),
                (second, SYMBOL_OF_DEBUG),
                (second, SYMBOL_OF_DISPLAY),
            ];
            assert_eq!(symbols_used(&after), expected);
            assert_eq!(sections(&after).unwrap().last().unwrap().name, "last");
            assert_eq!(with_plain_panic(&after), None);
        }
    }

    #[test]
    fn the_length_of_a_section_follows() {
        let before = object(CUT, DISPLAY_OF_U32, [SYMBOL_OF_DEBUG, SYMBOL_OF_DISPLAY]);
        let sections = sections(&before).unwrap();
        let relocations = sections.iter().find(|section| section.name == RELOCATIONS_OF_CODE).unwrap();
        let place = addresses_used(relocations.reader(&before), 1).unwrap()[0].place.clone();
        let after = rewritten(&before, relocations, &[&place], 7);
        assert_eq!(symbols_used(&after)[0], (usize::from(BODIES[0]), 7));
        assert_eq!(after.len(), before.len() - 1);
    }

    #[test]
    fn what_is_of_another_kind_stays_as_it_is() {
        assert_eq!(
            with_plain_panic(&object(
                "_RNvNtCs1_4core3str8another_rt",
                DISPLAY_OF_U32,
                [SYMBOL_OF_DEBUG, SYMBOL_OF_DISPLAY]
            )),
            None
        );
        assert_eq!(with_plain_panic(&object(CUT, DISPLAY_OF_U32, [SYMBOL_OF_DEBUG, 5])), None);
        assert_eq!(with_plain_panic(&object(CUT, DISPLAY_OF_U32, [5, SYMBOL_OF_DISPLAY])), None);
        let whole = object(CUT, DISPLAY_OF_U32, [SYMBOL_OF_DEBUG, SYMBOL_OF_DISPLAY]);
        for end in 0..whole.len() {
            let _ = with_plain_panic(&whole[..end]);
        }
    }
}
