//! Under everything else: the imports from JavaScript, promises, the executor, calls under way, deadlines, timers and traces.

pub(crate) mod call;
pub(crate) mod deadline;
pub(crate) mod executor;
pub(crate) mod js;
pub(crate) mod promise;
pub(crate) mod time;
pub(crate) mod trace;
