/**
 * Schemas of JSON and configuration from outside, over the library that checks them. What these make is bounded: text by its
 * length, numbers by their range, lists by their count.
 */
import * as v from "valibot"
import { HoldfastError } from "./errors.ts"

/** Whatever a schema takes, and what it gives. */
export type Schema<T> = v.GenericSchema<unknown, T>

/** Text of `least` to `most` UTF-16 units. */
export function text(most: number, least = 0) {
  return v.pipe(v.string(), v.minLength(least), v.maxLength(most))
}

/** Text that matches a pattern, which bounds its length. */
export function matching(pattern: RegExp) {
  return v.pipe(v.string(), v.regex(pattern))
}

/** A whole number from `least` to `most`, both included. */
export function integer(least = 0, most: number = Number.MAX_SAFE_INTEGER) {
  return v.pipe(v.number(), v.safeInteger(), v.minValue(least), v.maxValue(most))
}

/** A number, fractions included. */
export const finiteNumber = v.pipe(v.number(), v.finite())

/** A list of `least` to `most` items. */
export function list<const S extends v.GenericSchema>(item: S, most: number, least = 0) {
  return v.pipe(
    v.unknown(),
    // Before any item is looked at: a list that is too long costs nothing.
    v.check((value) => !Array.isArray(value) || (value.length >= least && value.length <= most)),
    v.array(item),
  )
}

/**
 * An object with whatever names, which match `names` if that is given, and values of one kind. Names that every object has, as
 * `constructor`, are names as others are: the library's own schema of this kind leaves them out.
 */
export function record<T>(value: Schema<T>, names?: RegExp) {
  return v.pipe(
    v.custom<Record<string, unknown>>((given) => typeof given === "object" && given !== null && !Array.isArray(given)),
    v.rawTransform(({ dataset, addIssue, NEVER }): Record<string, T> => {
      const entries: [name: string, value: T][] = []
      for (const [name, given] of Object.entries(dataset.value)) {
        const result = fit(value, given)
        if ("field" in result || names?.test(name) === false) {
          addIssue({ message: "a name or its value is not as required" })
          return NEVER
        }
        entries.push([name, result.value])
      }
      return Object.fromEntries(entries)
    }),
  )
}

/** The value as the schema gives it, or the name of the first field that is wrong, never its content. */
export function fit<T>(schema: Schema<T>, value: unknown): { readonly value: T } | { readonly field: string } {
  const result = v.safeParse(schema, value, { abortEarly: true })
  return result.success ? { value: result.output } : { field: v.getDotPath(result.issues[0]) ?? "it" }
}

/** The version that a value from outside says it has; undefined when it says none. */
export function statedVersion(value: unknown): number | undefined {
  const result = fit(v.object({ version: finiteNumber }), value)
  return "value" in result ? result.value.version : undefined
}

/** The value if it fits the schema. Throws ERR_BAD_FORMAT naming the first wrong field of `what`, never its content. */
export function parseOr<T>(schema: Schema<T>, value: unknown, what: string): T {
  const result = fit(schema, value)
  if ("value" in result) return result.value
  const { field } = result
  throw new HoldfastError("ERR_BAD_FORMAT", `${what} is malformed: ${field} is not as required.`, { field })
}
