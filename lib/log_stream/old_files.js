'use strict'

// Owns: the old files of a log (`<file>.1` the youngest, compressed ones with `.gz`), and what is in them.
// Must never: take a file of somebody else for one of ours.

const fs = require('node:fs')
const path = require('node:path')
const { promisify } = require('node:util')

const gunzip = promisify(require('node:zlib').gunzip)

/** The old files of a log, the youngest first. @param {string} file */
async function oldFiles(file) {
  const folder = path.dirname(file)
  const start = `${path.basename(file)}.`
  const names = await fs.promises.readdir(folder).catch(() => [])
  const found = []
  for (const name of names) {
    const number = name.startsWith(start) && /^([1-9]\d*)(\.gz)?$/.exec(name.slice(start.length))
    if (!number) continue
    const full = path.join(folder, name)
    const stat = await fs.promises.stat(full).catch(() => undefined)
    if (!stat) continue
    const inside = number[2] ? await inodeInside(full) : undefined
    found.push({ file: full, number: Number(number[1]), ino: stat.ino, inside, mtimeMs: stat.mtimeMs })
  }
  return found.sort((one, other) => one.number - other.number)
}

/** What a compressed file was before: the daemon says so in a comment. @param {string} file */
async function inodeInside(file) {
  const handle = await fs.promises.open(file, 'r').catch(() => undefined)
  if (!handle) return undefined
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(64), 0, 64, 0)
    // Ten bytes of header, then the comment and a zero, if there is nothing but a comment.
    if (bytesRead < 11 || buffer[3] !== 0x10) return undefined
    const found = /^inode (\d+)$/.exec(buffer.toString('latin1', 10, buffer.indexOf(0, 10)))
    return found ? Number(found[1]) : undefined
  } finally {
    await handle.close()
  }
}

/** Empty when it is gone. @param {string} file @returns {Promise<Buffer>} */
async function contentOf(file) {
  const bytes = await fs.promises.readFile(file).catch(() => Buffer.alloc(0))
  return file.endsWith('.gz') && bytes.length > 0 ? unpack(bytes) : bytes
}

/** What cannot be unpacked is nothing. @param {Buffer} bytes @returns {Promise<Buffer>} */
const unpack = (bytes) => gunzip(bytes).catch(() => Buffer.alloc(0))

module.exports = { oldFiles, contentOf, unpack }
