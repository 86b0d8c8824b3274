/** The same object whose methods may be taken off it: `const { connect } = bound(callouts)`. */
export function bound<T extends object>(object: T): T {
  return new Proxy(object, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}
