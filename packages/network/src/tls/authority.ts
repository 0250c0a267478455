/**
 * The grid's certificate authority. It lives in one directory: ca-key.pem and ca.pem, both 0600. It decides every name
 * in a certificate itself; of a signing request it takes the public key alone. Specification: docs/protocols/join.md.
 */
import { createHash, randomBytes, X509Certificate } from "node:crypto"
import { readFile } from "node:fs/promises"
import { isIP } from "node:net"
import { join } from "node:path"
import { equal, HoldfastError } from "@holdfast/core"
import { createSecretDirectory, ioError } from "@holdfast/core/node"
import { encodeRoles } from "./roles.ts"
import { checkSubject, type Subject } from "./subject.ts"
import { loadX509, signingAlgorithm } from "./x509.ts"

/** What to certify. */
export interface SignOptions extends Subject {
  /** DNS names and IP addresses for subjectAltName; for tools other than ours, which check the member id. */
  readonly serverNames?: readonly string[]
  /** Default: now. */
  readonly nowMs?: number
  /** Default: one year. */
  readonly validDays?: number
}

/** An authority that can sign. */
export interface Authority {
  readonly caPem: string
  /** SHA-256 of the authority's certificate in DER, 32 bytes: what an invitation pins. */
  readonly fingerprint: Uint8Array
  /** A certificate for the key in `csrPem`. Throws ERR_BAD_FORMAT for a bad request. */
  sign(csrPem: string, options: SignOptions): Promise<string>
  /**
   * A new certificate for the key of one that was presented and verified in a handshake, with its server names. Throws
   * ERR_BAD_FORMAT.
   */
  renew(certPem: string, options: Omit<SignOptions, "serverNames">): Promise<string>
}

const dayMs = 86_400_000
/** Certificates start a little in the past, for members whose clock is behind. */
const backdateMs = 5 * 60_000
const maxCsrLength = 8192

/** Makes a new authority in `dir`, valid for 10 years. Throws ERR_ALREADY_EXISTS. */
export async function createAuthority(dir: string, name: string, nowMs: number = Date.now()): Promise<Authority> {
  const x509 = await loadX509()
  const keys = await crypto.subtle.generateKey(signingAlgorithm, true, ["sign", "verify"])
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: newSerial(),
    name: [{ CN: [name.slice(0, 64) || "Holdfast"] }, { O: ["Holdfast grid authority"] }],
    notBefore: new Date(nowMs - backdateMs),
    notAfter: new Date(nowMs + 3653 * dayMs),
    keys,
    signingAlgorithm,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  })
  const pkcs8 = await crypto.subtle.exportKey("pkcs8", keys.privateKey)
  await createSecretDirectory(dir, {
    "ca-key.pem": `${x509.PemConverter.encode(pkcs8, "PRIVATE KEY")}\n`,
    "ca.pem": `${certificate.toString("pem")}\n`,
  })
  return openAuthority(dir)
}

/** Opens the authority in `dir`. Throws ERR_IO, ERR_BAD_FORMAT. */
export async function openAuthority(dir: string): Promise<Authority> {
  const x509 = await loadX509()
  const [keyPem, caPem] = await Promise.all([readText(join(dir, "ca-key.pem")), readText(join(dir, "ca.pem"))])
  let key: CryptoKey
  try {
    const pkcs8 = x509.PemConverter.decodeFirst(keyPem)
    key = await crypto.subtle.importKey("pkcs8", pkcs8, signingAlgorithm, false, ["sign"])
  } catch {
    throw new HoldfastError("ERR_BAD_FORMAT", `The authority's key in ${dir} is damaged. Restore it from a copy.`)
  }
  const ca = new x509.X509Certificate(caPem)
  return {
    caPem,
    fingerprint: fingerprintOf(caPem),
    sign: async (csrPem, options) => issue(await requestedKey(csrPem), options, ca, key),
    async renew(certPem, options) {
      const old = new X509Certificate(certPem)
      const serverNames = alternativeNamesOf(old)
      return issue(new x509.X509Certificate(certPem).publicKey, { ...options, serverNames }, ca, key)
    },
  }
}

/** True for the same certificate, however its PEM is written. */
export function sameCertificate(a: string, b: string): boolean {
  return equal(fingerprintOf(a), fingerprintOf(b))
}

/** SHA-256 of a certificate's DER. Throws ERR_BAD_FORMAT. */
export function fingerprintOf(certificate: string | Uint8Array): Uint8Array {
  try {
    return new Uint8Array(createHash("sha256").update(new X509Certificate(certificate).raw).digest())
  } catch (cause) {
    throw new HoldfastError("ERR_BAD_FORMAT", "This is not a certificate.", {}, { cause })
  }
}

async function issue(
  publicKey: import("@peculiar/x509").PublicKey,
  options: SignOptions,
  ca: import("@peculiar/x509").X509Certificate,
  key: CryptoKey,
): Promise<string> {
  const { memberId, role, tenant, roles, serverNames = [], nowMs = Date.now(), validDays = 365 } = options
  checkSubject({ memberId, role, tenant, ...(roles && { roles }) })
  const x509 = await loadX509()
  const usages = [x509.ExtendedKeyUsage.clientAuth]
  if (role !== "client") usages.push(x509.ExtendedKeyUsage.serverAuth) // a client can never pose as a server
  const extensions: import("@peculiar/x509").Extension[] = [
    new x509.BasicConstraintsExtension(false, undefined, true),
    new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
    new x509.ExtendedKeyUsageExtension(usages),
    await x509.SubjectKeyIdentifierExtension.create(publicKey),
    await x509.AuthorityKeyIdentifierExtension.create(ca.publicKey),
  ]
  const names = serverNames.map((value) => alternativeName(value))
  if (role !== "client" && names.length > 0) extensions.push(new x509.SubjectAlternativeNameExtension(names))
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: newSerial(),
    // Certificates without roles stay as they were; who does not know roles refuses those with them.
    subject: [{ CN: [memberId] }, { O: [role] }, { OU: [tenant] }, ...(roles ? [{ OU: [encodeRoles(roles)] }] : [])],
    issuer: ca.subjectName,
    notBefore: new Date(nowMs - backdateMs),
    notAfter: new Date(nowMs + validDays * dayMs),
    publicKey,
    signingKey: key,
    signingAlgorithm,
    extensions,
  })
  return `${certificate.toString("pem")}\n`
}

/** The public key of a signing request that proves to hold the private one. Throws ERR_BAD_FORMAT. */
export async function requestedKey(csrPem: string): Promise<import("@peculiar/x509").PublicKey> {
  const x509 = await loadX509()
  const bad = new HoldfastError(
    "ERR_BAD_FORMAT",
    "The signing request is not one for an ECDSA P-256 key, signed by it.",
  )
  if (csrPem.length > maxCsrLength) throw bad
  try {
    const csr = new x509.Pkcs10CertificateRequest(csrPem)
    const algorithm = csr.publicKey.algorithm as { name?: string; namedCurve?: string }
    if (algorithm.name === "ECDSA" && algorithm.namedCurve === "P-256" && (await csr.verify())) return csr.publicKey
  } catch {
    // falls through to the same answer
  }
  throw bad
}

/** True for an IP address or a DNS name. */
export function isServerName(value: string): boolean {
  const label = "[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?"
  return isIP(value) !== 0 || (value.length <= 253 && new RegExp(`^${label}(\\.${label})*$`).test(value))
}

function alternativeName(value: string): { type: "ip" | "dns"; value: string } {
  if (!isServerName(value))
    throw new HoldfastError("ERR_INVALID_ARGUMENT", "A server name is neither a DNS name nor an IP address.")
  return { type: isIP(value) ? "ip" : "dns", value }
}

/** The DNS names and addresses that a certificate of ours has. */
function alternativeNamesOf(certificate: X509Certificate): string[] {
  const listed = certificate.subjectAltName?.split(", ") ?? []
  return listed.map((item) => item.replace(/^(DNS|IP Address):/, "")).filter(isServerName)
}

function newSerial(): string {
  const bytes = randomBytes(16)
  bytes[0] = (bytes[0]! & 0x7f) | 0x40 // positive, and never shortened
  return bytes.toString("hex")
}

async function readText(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8")
  } catch (cause) {
    throw ioError(`Could not read ${path}`, cause)
  }
}
