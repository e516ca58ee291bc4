// The two process managers that are measured: where their package is, and which file is their command line.

import { existsSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

export const root = path.join(path.dirname(fileURLToPath(import.meta.url)), '..', '..')

const stock = path.join(root, 'node_modules', 'pm2')

/** Ours, as it is built in this folder. */
export const packageAt = (folder) => ({ name: 'ours', package: folder, cli: path.join(folder, 'bin', 'pm2-rs') })

export const peers = {
  pm2: { name: 'pm2', package: stock, cli: path.join(stock, 'bin', 'pm2') },
  ours: packageAt(root),
}

/** Why this peer cannot be measured, or undefined. */
export function missing(peer) {
  if (!existsSync(peer.cli)) return `${peer.cli} does not exist: run \`npm ci\` and \`npm run build\` first`
  return undefined
}
