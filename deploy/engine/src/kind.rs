//! Kinds of resources: what the engine has to know about each, and the calls that make, change and remove one.

use crate::{Data, Fqn, Name, NameRule};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::{collections::BTreeMap, fmt};

/// What the engine has to know about a kind. It is data, so that a plan can be made without any call.
#[derive(Clone, Copy, Debug)]
pub struct Facts {
    /// What people call it: `D1 database`.
    pub title: &'static str,
    /// The names that Cloudflare takes.
    pub rule: NameRule,
    /// How one is found of which only the intent is known.
    pub recovery: Recovery,
    /// The properties that cannot be changed: a resource with another value is a new one.
    pub replacing: &'static [&'static str],
    /// Whether two of them can exist side by side under different names, so that a new one is made before the old one is deleted.
    pub side_by_side: bool,
    /// The attributes that stay what they are when the resource is changed. What is made from them need not wait to be planned.
    pub stable: &'static [&'static str],
    /// Whether one with these properties has data of the user, which is lost when it is deleted.
    pub holds_data: fn(&Data) -> bool,
    /// Whether it is gone when the resource that it belongs to is, without a call.
    pub dies_with_parent: bool,
    /// Whether what runs is interrupted when it is changed.
    pub restarts: bool,
    /// Whether others of the kind rely on its properties: see [`Kind::breaks`].
    pub has_users: bool,
    /// Whether several parts of a program may declare the same one.
    pub is_shared: bool,
}

/// How a resource is found of which only the intent is known, because the answer to the call that made it was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recovery {
    /// By its name, which no other resource of the kind has.
    Named,
    /// By a mark among the properties of all resources of the kind.
    Marked,
    /// Not at all. The user has to say whether it exists.
    Anonymous,
}

/// A resource to look for.
#[derive(Clone, Debug)]
pub struct Wanted<Props, Attributes> {
    /// The resource.
    pub fqn: Fqn,
    /// What tells it from others of the same name. Empty for one that the state does not know.
    pub instance: String,
    /// Its name at Cloudflare.
    pub name: Name,
    /// Its properties. `None` if they are not all known.
    pub props: Option<Props>,
    /// Its attributes, if it was made before.
    pub attributes: Option<Attributes>,
    /// Whether somebody else made it, and the user said that it is ours. Then it carries no mark of ours.
    pub adopted: bool,
}

/// What is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Found<Attributes> {
    /// What is known of it.
    pub attributes: Attributes,
    /// Its properties in the form in which the state keeps them, as far as Cloudflare tells them. A property that the program does
    /// not have is left out, so that somebody else's value is no difference.
    pub effective: Data,
    /// Whether it is the resource that was asked for, and not another one of its name: it has the id that the state knows, or carries
    /// proof that this stack made it, or was adopted. Where there is no other proof, a call of ours that was not answered is one
    /// ([`Wanted::instance`]), because nothing was there when that was planned.
    pub ours: bool,
    /// What somebody else has added, and stays.
    pub notes: Vec<String>,
}

impl<Attributes> Found<Attributes> {
    /// Something that is there, without notes.
    pub fn new(attributes: Attributes, effective: Data, ours: bool) -> Self {
        Self { attributes, effective, ours, notes: Vec::new() }
    }
}

/// A resource that exists, as the state has it.
#[derive(Clone, Debug)]
pub struct Recorded<Props, Attributes> {
    /// The resource.
    pub fqn: Fqn,
    /// What tells it from others of the same name.
    pub instance: String,
    /// Its name at Cloudflare.
    pub name: Name,
    /// Its properties, as the last call had them that was answered.
    pub props: Props,
    /// The properties of calls that were not answered, oldest first: it may have them.
    pub pending: Vec<Props>,
    /// What became known when it was made.
    pub attributes: Attributes,
    /// Whether it is known to be as the last call left it. If not, a call must not rely on any of its properties.
    pub intact: bool,
    /// Whether somebody else made it, and it became ours.
    pub adopted: bool,
}

/// A resource before a plan and after it.
#[derive(Debug)]
pub struct Change<'a, Props> {
    /// The resource.
    pub fqn: &'a Fqn,
    /// Its name at Cloudflare.
    pub name: &'a Name,
    /// Its properties as the state has them, if it exists.
    pub old: Option<&'a Props>,
    /// Its properties once the plan is done, unless it is gone then. Attributes that are not known yet are in their places.
    pub new: Option<&'a Props>,
}

/// Something that does not work as before for those who use a resource.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Break {
    /// What it is.
    pub what: String,
    /// What happens when it is used.
    pub outcome: String,
    /// Whether it fails until the user changes too. Then the plan is applied only if that is allowed.
    pub fails: bool,
}

/// A kind of resources. Each call has one effect. Each may be repeated: after a run that was cut off, the next run makes it again.
pub trait Kind: Send + Sync + 'static {
    /// What a program says about a resource of the kind. In JSON this is an object.
    type Props: Serialize + DeserializeOwned;
    /// What becomes known when one is made. In JSON this is an object.
    type Attributes: Serialize + DeserializeOwned;

    /// The name of the kind in the state: Cloudflare's name for it, such as `d1_database`.
    fn name(&self) -> &'static str;

    /// What the engine has to know about it.
    fn facts(&self) -> Facts;

    /// Looks for resources, with as few calls as there are pages in the list of all. The answers are in the order of `wanted`.
    ///
    /// # Errors
    /// When Cloudflare does not tell.
    fn find(
        &self,
        wanted: &[Wanted<Self::Props, Self::Attributes>],
    ) -> Result<Vec<Option<Found<Self::Attributes>>>, Failure>;

    /// Makes the resource.
    ///
    /// # Errors
    /// When it was not made, or when nobody knows whether it was.
    fn create(&self, wanted: &Wanted<Self::Props, Self::Attributes>) -> Result<Found<Self::Attributes>, Failure>;

    /// Gives the resource the properties `props`.
    ///
    /// # Errors
    /// As [`Kind::create`].
    fn update(
        &self,
        recorded: &Recorded<Self::Props, Self::Attributes>,
        props: &Self::Props,
    ) -> Result<Found<Self::Attributes>, Failure>;

    /// Removes the resource. One that is gone already is no error.
    ///
    /// # Errors
    /// As [`Kind::create`].
    fn delete(&self, recorded: &Recorded<Self::Props, Self::Attributes>) -> Result<(), Failure>;

    /// The properties with which a resource can exist without `others`, which are made from it in turn, and do not exist yet or no
    /// longer. `None` if there are none: then resources of the kind cannot be made from each other.
    fn without(&self, props: &Data, others: &BTreeMap<Fqn, Name>) -> Option<Data> {
        let _ = (props, others);
        None
    }

    /// Whether what `giver` has becomes that of a resource with the properties `taker`, which is made from it. Then the taker gets
    /// ready, as [`Kind::without`] says, before the giver changes, and becomes what the program says after that. A giver has no
    /// properties without the taker.
    fn hands_over(&self, giver: &Change<'_, Self::Props>, taker: &Self::Props) -> bool {
        let _ = (giver, taker);
        false
    }

    /// Why a resource cannot go from `old` properties to `new` ones at all. `None` if it can. `effective` is what was seen of it, if
    /// anybody looked.
    fn refusal(&self, old: &Self::Props, new: &Self::Props, effective: Option<&Data>) -> Option<String> {
        let _ = (old, new, effective);
        None
    }

    /// Whether data of the user is lost on the way from `old` properties to `new` ones. `None` if nobody knows what it was like.
    fn loses_data(&self, old: Option<&Self::Props>, new: &Self::Props) -> bool {
        let _ = (old, new);
        false
    }

    /// What the change of `of` breaks for `user`, which is of the same kind and made from it, or is the same resource. It is asked
    /// for kinds only whose facts say that they have users.
    fn breaks(&self, of: &Change<'_, Self::Props>, user: &Change<'_, Self::Props>) -> Vec<Break> {
        let _ = (of, user);
        Vec::new()
    }
}

/// Why a call failed, as far as it matters to what happens next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureKind {
    /// The call was refused, and had no effect.
    Refused,
    /// Nobody knows whether the call took effect.
    Unanswered,
    /// A part of what the call was to do took effect.
    Partial,
    /// The call may be made again, after a while.
    Busy,
    /// The call was refused because something that it refers to does not exist, or is not visible yet.
    Unseen,
    /// The credentials do not allow the call.
    Denied,
    /// What the state has about the resource cannot be read.
    Unreadable,
}

/// A call that failed.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// What it means for what happens next.
    pub kind: FailureKind,
    /// What failed, with the code of Cloudflare's answer if it had one.
    pub message: String,
    /// What the user can do about it.
    pub hints: Vec<String>,
}

impl Failure {
    /// A failure without a hint.
    pub fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), hints: Vec::new() }
    }
}

/// A [`Kind`] whose properties and attributes are data. Every kind is one.
pub trait AnyKind: Send + Sync {
    /// The name of the kind in the state.
    fn name(&self) -> &'static str;
    /// What the engine has to know about it.
    fn facts(&self) -> Facts;
    /// As [`Kind::find`].
    ///
    /// # Errors
    /// As [`Kind::find`], and when data does not have the kind's form.
    fn find(&self, wanted: &[Wanted<Data, Data>]) -> Result<Vec<Option<Found<Data>>>, Failure>;
    /// As [`Kind::create`].
    ///
    /// # Errors
    /// As [`Kind::create`], and when data does not have the kind's form.
    fn create(&self, wanted: &Wanted<Data, Data>) -> Result<Found<Data>, Failure>;
    /// As [`Kind::update`].
    ///
    /// # Errors
    /// As [`Kind::update`], and when data does not have the kind's form.
    fn update(&self, recorded: &Recorded<Data, Data>, props: &Data) -> Result<Found<Data>, Failure>;
    /// As [`Kind::delete`].
    ///
    /// # Errors
    /// As [`Kind::delete`], and when data does not have the kind's form.
    fn delete(&self, recorded: &Recorded<Data, Data>) -> Result<(), Failure>;
    /// As [`Kind::without`].
    fn without(&self, props: &Data, others: &BTreeMap<Fqn, Name>) -> Option<Data>;
    /// As [`Kind::hands_over`]. Properties that cannot be read are taken for unknown.
    fn hands_over(&self, giver: &Change<'_, Data>, taker: &Data) -> bool;
    /// As [`Kind::refusal`]. Properties that cannot be read are not refused here: the call refuses them.
    fn refusal(&self, old: &Data, new: &Data, effective: Option<&Data>) -> Option<String>;
    /// As [`Kind::loses_data`].
    fn loses_data(&self, old: Option<&Data>, new: &Data) -> bool;
    /// As [`Kind::breaks`]. Properties that cannot be read are taken for unknown.
    fn breaks(&self, of: &Change<'_, Data>, user: &Change<'_, Data>) -> Vec<Break>;
}

impl<K: Kind> AnyKind for K {
    fn name(&self) -> &'static str {
        Kind::name(self)
    }

    fn facts(&self) -> Facts {
        Kind::facts(self)
    }

    fn find(&self, wanted: &[Wanted<Data, Data>]) -> Result<Vec<Option<Found<Data>>>, Failure> {
        let wanted = wanted.iter().map(typed_wanted).collect::<Result<Vec<_>, _>>()?;
        Kind::find(self, &wanted)?.into_iter().map(|found| found.map(plain).transpose()).collect()
    }

    fn create(&self, wanted: &Wanted<Data, Data>) -> Result<Found<Data>, Failure> {
        plain(Kind::create(self, &typed_wanted(wanted)?)?)
    }

    fn update(&self, recorded: &Recorded<Data, Data>, props: &Data) -> Result<Found<Data>, Failure> {
        let props = decode(&recorded.fqn, "properties", props)?;
        plain(Kind::update(self, &typed_recorded(recorded)?, &props)?)
    }

    fn delete(&self, recorded: &Recorded<Data, Data>) -> Result<(), Failure> {
        Kind::delete(self, &typed_recorded(recorded)?)
    }

    fn without(&self, props: &Data, others: &BTreeMap<Fqn, Name>) -> Option<Data> {
        Kind::without(self, props, others)
    }

    fn hands_over(&self, giver: &Change<'_, Data>, taker: &Data) -> bool {
        let (old, new) = (giver.old.and_then(props::<K>), giver.new.and_then(props::<K>));
        let giver = Change { fqn: giver.fqn, name: giver.name, old: old.as_ref(), new: new.as_ref() };
        props::<K>(taker).is_some_and(|taker| Kind::hands_over(self, &giver, &taker))
    }

    fn refusal(&self, old: &Data, new: &Data, effective: Option<&Data>) -> Option<String> {
        Kind::refusal(self, &props::<K>(old)?, &props::<K>(new)?, effective)
    }

    fn loses_data(&self, old: Option<&Data>, new: &Data) -> bool {
        let Some(new) = props::<K>(new) else { return false };
        Kind::loses_data(self, old.and_then(props::<K>).as_ref(), &new)
    }

    fn breaks(&self, of: &Change<'_, Data>, user: &Change<'_, Data>) -> Vec<Break> {
        let typed = |change: &Change<'_, Data>| (change.old.and_then(props::<K>), change.new.and_then(props::<K>));
        let ((of_old, of_new), (user_old, user_new)) = (typed(of), typed(user));
        let of = Change { fqn: of.fqn, name: of.name, old: of_old.as_ref(), new: of_new.as_ref() };
        let user = Change { fqn: user.fqn, name: user.name, old: user_old.as_ref(), new: user_new.as_ref() };
        Kind::breaks(self, &of, &user)
    }
}

/// The properties, if they have the form of the kind.
fn props<K: Kind>(data: &Data) -> Option<K::Props> {
    <K::Props as Deserialize>::deserialize(data).ok()
}

fn typed_wanted<P: DeserializeOwned, A: DeserializeOwned>(
    wanted: &Wanted<Data, Data>,
) -> Result<Wanted<P, A>, Failure> {
    let Wanted { fqn, instance, name, props, attributes, adopted } = wanted;
    let props = props.as_ref().map(|props| decode(fqn, "properties", props)).transpose()?;
    let attributes = attributes.as_ref().map(|attributes| decode(fqn, "attributes", attributes)).transpose()?;
    Ok(Wanted {
        fqn: fqn.clone(),
        instance: instance.clone(),
        name: name.clone(),
        props,
        attributes,
        adopted: *adopted,
    })
}

fn typed_recorded<P: DeserializeOwned, A: DeserializeOwned>(
    recorded: &Recorded<Data, Data>,
) -> Result<Recorded<P, A>, Failure> {
    let Recorded { fqn, instance, name, props, pending, attributes, intact, adopted } = recorded;
    Ok(Recorded {
        fqn: fqn.clone(),
        instance: instance.clone(),
        name: name.clone(),
        props: decode(fqn, "properties", props)?,
        pending: pending.iter().map(|props| decode(fqn, "properties", props)).collect::<Result<_, _>>()?,
        attributes: decode(fqn, "attributes", attributes)?,
        intact: *intact,
        adopted: *adopted,
    })
}

fn decode<T: DeserializeOwned>(fqn: &Fqn, what: &str, data: &Data) -> Result<T, Failure> {
    T::deserialize(data).map_err(|error| {
        Failure::new(FailureKind::Unreadable, format!("the {what} of `{fqn}` cannot be read: {error}"))
    })
}

fn plain<A: Serialize>(found: Found<A>) -> Result<Found<Data>, Failure> {
    let Found { attributes, effective, ours, notes } = found;
    let failed = |error: serde_json::Error| Failure::new(FailureKind::Unreadable, error.to_string());
    Ok(Found { attributes: serde_json::to_value(attributes).map_err(failed)?, effective, ours, notes })
}

/// The kinds that a program may use, by name.
#[derive(Default)]
pub struct Kinds(BTreeMap<&'static str, Box<dyn AnyKind>>);

impl Kinds {
    /// Adds a kind. It takes the place of one with the same name.
    #[must_use]
    pub fn with(mut self, kind: impl AnyKind + 'static) -> Self {
        self.0.insert(kind.name(), Box::new(kind));
        self
    }

    /// The kind called `name`, if there is one.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&dyn AnyKind> {
        self.0.get(name).map(Box::as_ref)
    }

    /// All kinds, in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = &dyn AnyKind> {
        self.0.values().map(Box::as_ref)
    }
}

impl fmt::Debug for Kinds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}
