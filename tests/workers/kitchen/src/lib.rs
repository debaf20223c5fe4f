//! A Worker with one of everything, for the end-to-end tests in `tests/`.

mod belt;
mod faults;
mod flaky;
mod menu;
mod values;

pub use belt::{Belt, BeltStub};
pub use faults::Fragile;
pub use flaky::Flaky;
pub use menu::{Menu, OrderError, OtherMenu};
pub use values::{Everything, Shape};

use realgar::{Jurisdiction, LocationHint, prelude::*};
use std::sync::atomic::{AtomicU32, Ordering};

/// How often Phase 1 of [`Menu`] ran in this wasm instance.
pub(crate) static MENU_PHASE_1: AtomicU32 = AtomicU32::new(0);
/// How often Phase 1 of [`Kitchen`] ran in this wasm instance.
static WORKER_PHASE_1: AtomicU32 = AtomicU32::new(0);

#[worker(hosts(Menu, Fragile, Belt))]
pub struct Kitchen {
    menus: Namespace<Menu>,
    belts: Namespace<Belt>,
    flaky: Namespace<Flaky>,
}

impl Worker for Kitchen {
    fn init(cx: &mut Init) -> Self {
        WORKER_PHASE_1.fetch_add(1, Ordering::Relaxed);
        Kitchen {
            menus: cx.bind(Menu::from::<Kitchen>()),
            belts: cx.bind(Belt::from::<Kitchen>()),
            flaky: cx.bind(Flaky::from_script("driver")),
        }
    }

    async fn fetch(&self, request: Request, cx: &Context) -> Result<Response> {
        let path = request.path();
        let (route, rest) = path.trim_start_matches('/').split_once('/').unwrap_or((path.trim_start_matches('/'), ""));
        match route {
            "phase-1" => json(&WORKER_PHASE_1.load(Ordering::Relaxed)),
            "values" => values::round_trips(&self.menus.get_by_name("values")).await,
            "errors" => menu::typed_errors(&self.menus, rest).await,
            "namespace" => self.namespace().await,
            "forward" => Ok(self.menus.get_by_name("forward").fetch(request).await?),
            "streams" => belt::consume(&self.belts, rest).await,
            "deadlines" => belt::deadlines(&self.belts).await,
            "flaky" => flaky::call(&self.flaky).await,
            "stranger" => flaky::call_in_time(&self.flaky).await,
            "worker-fault" => faults::here(rest, cx).await,
            _ => Ok(Response::error("no such route", 404)?),
        }
    }
}

impl Kitchen {
    /// Every way to an object leads to the object it should.
    async fn namespace(&self) -> Result<Response> {
        let unique = self.menus.unique_id()?;
        let by_name = self.menus.id_from_name("ada")?;
        let again = self.menus.id_from_string(&by_name.to_string())?;
        let bad = self.menus.id_from_string("not an id").unwrap_err().to_string();
        let hinted = self.menus.location_hint(LocationHint::WesternEurope).get_by_name("ada").own_id().await?;
        let named = self.menus.get_by_name("ada").own_id().await?;
        let by_id = self.menus.get_by_id(&by_name).own_id().await?;
        let by_unique = self.menus.get_by_id(&unique).own_id().await?;
        // The runtime on this machine has no jurisdictions, and says so when it is asked for one.
        let european = self.menus.jurisdiction(Jurisdiction::Eu).get_by_name("ada").own_id().await.unwrap_err();
        json(&serde_json::json!({
            "jurisdiction": european.message(),
            "unique": by_unique == unique.to_string(),
            "name": named == by_name.to_string(),
            "id": by_id == by_name.to_string(),
            "text": again == by_name,
            "hint": hinted == by_name.to_string(),
            "bad": bad,
        }))
    }
}

pub(crate) fn json(value: &impl serde::Serialize) -> Result<Response> {
    Ok(Response::from_json(value)?)
}

realgar::export!(Kitchen);
