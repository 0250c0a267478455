/**
 * A member's TLS identity: a private key made on this machine, a certificate from the grid's authority, and that
 * authority as the only trust. It lives in one directory as key.pem, cert.pem and ca.pem, each mode 0600.
 */
import { createPrivateKey, X509Certificate } from "node:crypto"
import { readFile } from "node:fs/promises"
import { join } from "node:path"
import { HoldfastError } from "@holdfast/core"
import { codeOf, createSecretDirectory, ioError } from "@holdfast/core/node"
import { type Subject, subjectOf } from "./subject.ts"
import { loadX509, signingAlgorithm } from "./x509.ts"

/** What a TLS endpoint of ours needs. */
export interface Identity extends Subject {
  readonly keyPem: string
  readonly certPem: string
  readonly caPem: string
  /** When the certificate ends, ms since the epoch. */
  readonly notAfterMs: number
}

/** The PEM texts of an identity. */
export interface IdentityFiles {
  readonly keyPem: string
  readonly certPem: string
  readonly caPem: string
}

/** A fresh private key and a signing request for it. The request names nothing: the authority decides the subject. */
export async function createKeyAndRequest(): Promise<{ keyPem: string; csrPem: string }> {
  const x509 = await loadX509()
  const keys = await crypto.subtle.generateKey(signingAlgorithm, true, ["sign", "verify"])
  const csr = await x509.Pkcs10CertificateRequestGenerator.create({ name: "CN=new member", keys, signingAlgorithm })
  const pkcs8 = await crypto.subtle.exportKey("pkcs8", keys.privateKey)
  return { keyPem: `${x509.PemConverter.encode(pkcs8, "PRIVATE KEY")}\n`, csrPem: `${csr.toString("pem")}\n` }
}

/**
 * Checks that the three texts belong together and are valid at `nowMs`.
 * Throws ERR_BAD_FORMAT for damaged or mismatched files, ERR_REFUSED for a certificate outside its validity.
 */
export function checkIdentity(files: IdentityFiles, nowMs: number = Date.now()): Identity {
  const { cert, ca, key } = parse(files)
  if (!cert.checkPrivateKey(key)) throw damaged("the certificate is not for this key")
  if (!cert.checkIssued(ca) || !cert.verify(ca.publicKey)) throw damaged("the certificate is not from this authority")
  const subject = subjectOf(cert.toLegacyObject().subject)
  if (!subject) throw damaged("the certificate names no member")
  const notAfterMs = cert.validToDate.getTime()
  if (nowMs >= notAfterMs)
    throw new HoldfastError(
      "ERR_REFUSED",
      `The certificate of member ${subject.memberId} ended on ${cert.validToDate.toISOString()}. Join the grid again with a new invitation.`,
      { memberId: subject.memberId, notAfterMs },
    )
  if (nowMs < cert.validFromDate.getTime())
    throw new HoldfastError(
      "ERR_REFUSED",
      `The certificate of member ${subject.memberId} is valid only from ${cert.validFromDate.toISOString()}. Check this machine's clock.`,
      { memberId: subject.memberId },
    )
  return { ...files, ...subject, notAfterMs }
}

/** Creates the identity directory in one step, with any `more` files beside the three. Throws ERR_ALREADY_EXISTS. */
export async function saveIdentity(
  dir: string,
  { keyPem, certPem, caPem }: IdentityFiles,
  more: Readonly<Record<string, string>> = {},
): Promise<void> {
  await createSecretDirectory(dir, { ...more, "ca.pem": caPem, "cert.pem": certPem, "key.pem": keyPem })
}

/**
 * Loads and checks an identity directory; `keyPem` is the private key when it is kept elsewhere.
 * Throws ERR_NOT_FOUND, ERR_BAD_FORMAT, ERR_REFUSED, ERR_IO.
 */
export async function loadIdentity(dir: string, nowMs: number = Date.now(), keyPem?: string): Promise<Identity> {
  const [key, certPem, caPem] = await Promise.all([
    keyPem ?? readIdentityFile(dir, "key.pem"),
    readIdentityFile(dir, "cert.pem"),
    readIdentityFile(dir, "ca.pem"),
  ])
  return checkIdentity({ keyPem: key, certPem, caPem }, nowMs)
}

/** True when less than `withinMs` (default 30 days) of the certificate's validity is left. */
export function expiresSoon(identity: Identity, nowMs: number = Date.now(), withinMs = 30 * 86_400_000): boolean {
  return identity.notAfterMs - nowMs < withinMs
}

/** Text of one file of an identity directory. Throws ERR_NOT_FOUND, ERR_IO. */
export async function readIdentityFile(dir: string, name: string): Promise<string> {
  try {
    return await readFile(join(dir, name), "utf8")
  } catch (cause) {
    if (codeOf(cause) !== "ENOENT") throw ioError(`Could not read ${join(dir, name)}`, cause)
    throw new HoldfastError(
      "ERR_NOT_FOUND",
      `There is no identity in ${dir} (${name} is missing). Join a grid with an invitation first.`,
      { dir, name },
      { cause },
    )
  }
}

function parse({ keyPem, certPem, caPem }: IdentityFiles) {
  try {
    return { cert: new X509Certificate(certPem), ca: new X509Certificate(caPem), key: createPrivateKey(keyPem) }
  } catch {
    throw damaged("a file is not PEM of a key or certificate") // without the cause, which may quote the key
  }
}

function damaged(why: string): HoldfastError {
  return new HoldfastError(
    "ERR_BAD_FORMAT",
    `This identity is damaged: ${why}. Restore its directory from a copy, or join the grid again.`,
  )
}
