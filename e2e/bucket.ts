/** Buckets as another program sees them: made, looked into, altered and destroyed through AWS's client. */
import {
  CreateBucketCommand,
  DeleteBucketCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
} from "@aws-sdk/client-s3"

/** An S3 user's keys. */
export interface Keys {
  readonly accessKey: string
  readonly secretKey: string
}

/** The lines of a credentials file. */
export function credentialLines({ accessKey, secretKey }: Keys): string {
  return `[default]\naws_access_key_id = ${accessKey}\naws_secret_access_key = ${secretKey}\n`
}

/** Makes a bucket. */
export async function makeBucket(endpoint: string, keys: Keys, Bucket: string): Promise<void> {
  await withClient(endpoint, keys, (client) => client.send(new CreateBucketCommand({ Bucket })))
}

/** Removes a bucket with all that is in it. */
export async function destroyBucket(endpoint: string, keys: Keys, Bucket: string): Promise<void> {
  for (const Key of await listBucket(endpoint, keys, Bucket))
    await withClient(endpoint, keys, (client) => client.send(new DeleteObjectCommand({ Bucket, Key })))
  await withClient(endpoint, keys, (client) => client.send(new DeleteBucketCommand({ Bucket })))
}

/** The keys of the objects in a bucket, at most 1000. */
export async function listBucket(endpoint: string, keys: Keys, Bucket: string): Promise<string[]> {
  const page = await withClient(endpoint, keys, (client) => client.send(new ListObjectsV2Command({ Bucket })))
  return (page.Contents ?? []).map(({ Key = "" }) => Key)
}

/** The bytes of an object. */
export async function readObject(endpoint: string, keys: Keys, Bucket: string, Key: string): Promise<Uint8Array> {
  return withClient(endpoint, keys, async (client) =>
    (await client.send(new GetObjectCommand({ Bucket, Key }))).Body!.transformToByteArray(),
  )
}

/** Replaces an object. */
export async function writeObject(
  endpoint: string,
  keys: Keys,
  Bucket: string,
  Key: string,
  Body: Uint8Array,
): Promise<void> {
  await withClient(endpoint, keys, (client) => client.send(new PutObjectCommand({ Bucket, Key, Body })))
}

async function withClient<T>(endpoint: string, keys: Keys, work: (client: S3Client) => Promise<T>): Promise<T> {
  const credentials = { accessKeyId: keys.accessKey, secretAccessKey: keys.secretKey }
  const client = new S3Client({ endpoint, region: "us-east-1", forcePathStyle: true, credentials })
  try {
    return await work(client)
  } finally {
    client.destroy()
  }
}
