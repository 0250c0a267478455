/** Paths as people write them. */
import type { Location } from "./file-system.ts"

/** A path as text: `/docs/a`. */
export function formatPath(path: readonly string[]): string {
  return `/${path.join("/")}`
}

/** A location for messages: `home:/docs/a`. */
export function show({
  files,
  path,
}: {
  readonly files: Pick<Location["files"], "label" | "isFile">
  readonly path: readonly string[]
}): string {
  return files.isFile && path.length === 0 ? files.label : `${files.label}${formatPath(path)}`
}
