// Of Node's module of this name, what a dependency of the Agents SDK asks for.
export function extname(name) {
  const dot = name.lastIndexOf(".");
  return dot < 0 ? "" : name.slice(dot);
}
