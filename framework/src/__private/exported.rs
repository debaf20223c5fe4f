//! What `export!` exports, and the one place that says what a program lacks.
//!
//! A program that lacks something would be refused in every function that `export!` generates. So each function exists twice: as a
//! function of a type, for a whole program, and as a function of a trait for any other. Rust prefers the first. So an incomplete
//! program still resolves, and [`Checked::check`] alone reports what it lacks.

use super::{
    describe,
    exports::{self, WorkerList},
    object::{ObjectList, Provides},
};
use crate::{DurableObject, Hosts, Live, LiveWorker, ObjectClass, Worker, WorkerClass, workers::WholeWorker};
use std::marker::PhantomData;

/// A program: its Worker, its objects, and its named entrypoints.
#[derive(Debug)]
pub struct Exported<W, O, E>(PhantomData<(W, O, E)>);

/// The objects of a program that `export!` does not list: the classes that the Worker hosts.
#[derive(Debug)]
pub struct AsHosted;

/// The objects that `export!` lists.
#[derive(Debug)]
pub struct Listed<L>(PhantomData<L>);

/// The objects of a program whose Worker is `W`.
pub trait ObjectsOf<W> {
    /// Nested pairs: `(A, (B, ()))`.
    type List;
}

impl<W: Live<Class: WorkerClass>> ObjectsOf<W> for AsHosted {
    type List = <W::Class as WorkerClass>::Hosted;
}

impl<W, L> ObjectsOf<W> for Listed<L> {
    type List = L;
}

impl<W: WholeWorker, O: ObjectsOf<W, List: ObjectList>, E: WorkerList> Exported<W, O, E> {
    /// Says what this module exports. Called once per wasm instance.
    pub fn register() {
        exports::register::<W, O::List, E>();
    }

    /// Describes the program: see [`describe::describe`].
    #[must_use]
    pub fn describe() -> u64 {
        describe::describe::<W, O::List, E>()
    }
}

/// The functions of a program that lacks something.
pub trait Incomplete {
    /// Never runs.
    fn register() {
        panic!("`export!` of a program that lacks something")
    }

    /// Never runs.
    #[must_use]
    fn describe() -> u64 {
        panic!("`export!` of a program that lacks something")
    }
}

impl<W, O, E> Incomplete for Exported<W, O, E> {}

/// A program, to say what it lacks.
#[derive(Debug)]
pub struct Checked<W, O, E>(PhantomData<(W, O, E)>);

impl<W: LiveWorker + Live<Class: WorkerClass>, O: ObjectsOf<W>, E> Checked<W, O, E> {
    /// Called by the code `export!` generates. Does not compile unless the user implemented `Worker` and `DurableObject` for each part.
    pub fn check()
    where
        W: Worker,
        O::List: Objects,
        E: Workers,
    {
    }

    /// Called by the code `export!` generates: the objects that it lists, which `P` stands for, implement all classes that the Worker
    /// hosts.
    pub fn provided<P>()
    where
        <W::Class as WorkerClass>::Hosted: ProvidedBy<P>,
    {
    }

    /// Called by the code `export!` generates: the Worker hosts the class of an object that it lists.
    pub fn hosts<T: Live<Class: ObjectClass>>()
    where
        W::Class: Hosts<T::Class>,
    {
    }
}

/// Nested pairs of classes that `P` provides.
pub trait ProvidedBy<P> {}

impl<P> ProvidedBy<P> for () {}

impl<P: Provides<Head>, Head, Tail: ProvidedBy<P>> ProvidedBy<P> for (Head, Tail) {}

/// The check of a program whose Worker has no `#[worker]`.
pub trait Unmarked<W> {
    /// Reports that the Worker has no `#[worker]`.
    fn check()
    where
        W: LiveWorker,
    {
    }

    /// As above.
    fn provided<P>() {}

    /// As above.
    fn hosts<T>() {}
}

impl<W, O, E> Unmarked<W> for Checked<W, O, E> {}

/// Nested pairs of objects.
pub trait Objects {}

impl Objects for () {}

impl<Head: DurableObject, Tail: Objects> Objects for (Head, Tail) {}

/// Nested pairs of Workers.
pub trait Workers {}

impl Workers for () {}

impl<Head: Worker, Tail: Workers> Workers for (Head, Tail) {}
