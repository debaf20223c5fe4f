//! Values of every kind, as they cross.

use crate::{json, menu::MenuStub};
use realgar::prelude::*;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Shape {
    Point,
    Circle(f64),
    Box { width: u32, height: u32 },
    Line(i32, i32),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Everything {
    pub flag: bool,
    pub small: i8,
    pub signed: i64,
    pub unsigned: u64,
    pub wide: u128,
    pub float: f64,
    pub letter: char,
    pub text: String,
    pub bytes: Vec<u8>,
    pub nothing: Option<u32>,
    pub something: Option<String>,
    pub list: Vec<Shape>,
    pub nested: BTreeMap<String, Vec<Option<i64>>>,
    pub numbered: BTreeMap<u32, String>,
    pub pair: (u8, String),
    pub unit: (),
}

impl Everything {
    pub fn sample() -> Self {
        Self {
            flag: true,
            small: -128,
            signed: i64::MIN,
            unsigned: u64::MAX,
            wide: u128::MAX,
            float: 0.1,
            letter: '🦀',
            text: "naïve \"quotes\" \0 and 🦀".into(),
            bytes: (0..=255).collect(),
            nothing: None,
            something: Some(String::new()),
            list: vec![Shape::Point, Shape::Circle(-0.5), Shape::Box { width: 1, height: 2 }, Shape::Line(3, -4)],
            nested: BTreeMap::from([("__proto__".into(), vec![Some(1), None]), ("".into(), vec![])]),
            numbered: BTreeMap::from([(7, "seven".into())]),
            pair: (255, "x".into()),
            unit: (),
        }
    }
}

/// Sends values from Rust to Rust and back, and says which came back as they were.
pub async fn round_trips(menu: &MenuStub) -> Result<Response> {
    let megabyte = "é".repeat(512 * 1024);
    let bytes: Vec<u8> = (0..1024 * 1024).map(|index: u32| (index % 256) as u8).collect();
    let everything = Everything::sample();
    let mut results = BTreeMap::new();
    results.insert("megabyte", menu.echo_text(megabyte.clone()).await? == megabyte);
    results.insert("bytes", menu.echo_bytes(bytes.clone()).await? == bytes);
    results.insert("no bytes", menu.echo_bytes(Vec::new()).await?.is_empty());
    results.insert("everything", menu.echo_everything(everything.clone()).await? == everything);
    for value in [0, 1, (1 << 53) - 1, 1 << 53, (1 << 53) + 1, u64::MAX - 1, u64::MAX] {
        results.insert("u64", menu.echo_u64(value).await? == value && results.get("u64") != Some(&false));
    }
    for value in [i64::MIN, i64::MIN + 1, -(1 << 53) - 1, -1, 0, (1 << 53) + 1, i64::MAX] {
        results.insert("i64", menu.echo_i64(value).await? == value && results.get("i64") != Some(&false));
    }
    for value in [None, Some(0), Some(u32::MAX)] {
        results.insert("option", menu.echo_option(value).await? == value && results.get("option") != Some(&false));
    }
    results.insert("stored", menu.store_everything(everything.clone()).await? == everything);
    json(&results)
}
