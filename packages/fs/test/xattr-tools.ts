/** Extended attributes as another program (Python) makes and sees them. */
import { execFileSync } from "node:child_process"

/** Why tests of them are left out here; false where they are not. */
export const skip =
  process.platform !== "linux" && process.env["HOLDFAST_REQUIRE_ALL"] !== "1" ? "extended attributes of Linux" : false

/** Runs Python over arguments that it has as `a`, and gives what it prints. */
export function python(code: string, ...args: readonly string[]): string {
  return execFileSync("python3", ["-c", `import os, sys, json; a = sys.argv[1:]; ${code}`, ...args], {
    encoding: "utf8",
  })
}

/** Sets an attribute, the value in hexadecimal. */
export const set = (path: string, name: string, hex: string) =>
  python("os.setxattr(a[0], a[1], bytes.fromhex(a[2]), follow_symlinks=False)", path, name, hex)

/** Those of a file: name to value in hexadecimal. */
export const of = (path: string): Record<string, string> =>
  JSON.parse(python("print(json.dumps({n: os.getxattr(a[0], n).hex() for n in os.listxattr(a[0])}))", path))
