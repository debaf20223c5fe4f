//! The answers and routes that a test gives for requests to the outside.

use crate::lock;
use realgar_edge::{Outbound, OutboundRequest, OutboundResponse, OutboundRules};
use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex},
};

/// The host that stands for every host without an answer of its own.
const ANY: &str = "*";

type Answer = Arc<dyn Fn(&OutboundRequest) -> OutboundResponse + Send + Sync>;

/// Answers and routes, by host.
#[derive(Clone, Default)]
pub(crate) struct OutboundPlan {
    answers: BTreeMap<String, Answer>,
    routes: BTreeMap<String, Option<String>>,
}

impl fmt::Debug for OutboundPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OutboundPlan")
            .field("answers", &self.answers.keys())
            .field("routes", &self.routes)
            .finish_non_exhaustive()
    }
}

impl OutboundPlan {
    pub(crate) fn answer(&mut self, host: &str, answer: Answer) {
        self.answers.insert(host.to_ascii_lowercase(), answer);
    }

    pub(crate) fn route(&mut self, host: &str, origin: Option<&str>) {
        self.routes.insert(host.to_ascii_lowercase(), origin.map(Into::into));
    }

    /// The rules for the edge, and the list to which each answered or refused request is added.
    pub(crate) fn rules(&self) -> (Outbound, Arc<Mutex<Vec<OutboundRequest>>>) {
        let asked: Arc<Mutex<Vec<OutboundRequest>>> = Arc::default();
        let (answers, record) = (self.answers.clone(), asked.clone());
        let answer = move |request: OutboundRequest| {
            lock(&record).push(request.clone());
            let host = request.host();
            match answers.get(host).or_else(|| answers.get(ANY)) {
                Some(answer) => Ok(answer(&request)),
                None => Err(format!(
                    "the test answers no request to `{host}`: add `.outbound(\"{host}\", |request| ..)` to the app, or let the host \
                     through with `.outbound_through(\"{host}\")`"
                )),
            }
        };
        (Outbound::Answered(OutboundRules { answer: Arc::new(answer), routes: self.routes.clone() }), asked)
    }
}
