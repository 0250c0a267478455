/** Names against patterns with * and ?, without a regular expression, so that no pattern can take long. */

/** True when the whole of `name` fits `glob`: * stands for any letters, ? for one. */
export function globMatches(glob: string, name: string): boolean {
  const pattern = [...glob]
  const letters = [...name]
  let [p, n] = [0, 0]
  let star = -1 // where to go on when what follows the last * does not fit
  let resume = 0
  while (n < letters.length) {
    if (pattern[p] === "*") {
      star = p++
      resume = n
    } else if (p < pattern.length && (pattern[p] === "?" || pattern[p] === letters[n])) {
      p++
      n++
    } else if (star >= 0) {
      p = star + 1
      n = ++resume
    } else return false
  }
  while (pattern[p] === "*") p++
  return p === pattern.length
}
