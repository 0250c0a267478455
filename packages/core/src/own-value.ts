/**
 * The value of a record under a key that comes from outside; undefined when it has none. Never what every object inherits, as
 * `constructor`.
 */
export function ownValue<T>(record: Readonly<Record<string, T>> | undefined, key: string): T | undefined {
  return record !== undefined && Object.hasOwn(record, key) ? record[key] : undefined
}
