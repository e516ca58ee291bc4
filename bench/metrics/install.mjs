import { execFileSync } from 'node:child_process'
import { existsSync, lstatSync, readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'

import { atMost } from '../tools/goals.mjs'

/** What a file of this size takes on disk, in blocks of 4 KiB as `du` counts: small files are most of pm2's tree. */
const onDisk = (size) => Math.ceil(size / 4096) * 4096

/** Bytes on disk of the files under `folder`, without nested packages. */
function bytes(folder) {
  return readdirSync(folder, { withFileTypes: true }).reduce((sum, entry) => {
    const name = path.join(folder, entry.name)
    if (entry.name === 'node_modules') return sum
    return sum + (entry.isDirectory() ? bytes(name) : onDisk(lstatSync(name).size))
  }, 0)
}

/** The folder of `name` as `from` finds it, or undefined (an optional dependency of another platform). */
function find(name, from) {
  for (let folder = from; ; folder = path.dirname(folder)) {
    const candidate = path.join(folder, 'node_modules', name)
    if (existsSync(path.join(candidate, 'package.json'))) return candidate
    if (folder === path.dirname(folder)) return undefined
  }
}

/** The folders of a package and of all it needs at run time. */
function tree(folder, seen = new Set()) {
  if (seen.has(folder)) return seen
  seen.add(folder)
  const { dependencies = {}, optionalDependencies = {} } = JSON.parse(
    readFileSync(path.join(folder, 'package.json'), 'utf8'),
  )
  for (const name of Object.keys({ ...dependencies, ...optionalDependencies })) {
    const found = find(name, folder)
    if (found) tree(found, seen)
    else if (!(name in optionalDependencies)) throw new Error(`${name}, which ${folder} needs, is not installed`)
  }
  return seen
}

/** Bytes on disk of what `npm pack` would publish from `folder`. */
function packed(folder) {
  const answer = execFileSync('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], {
    cwd: folder,
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  return JSON.parse(answer)[0].files.reduce((sum, { size }) => sum + onDisk(size), 0)
}

/** Bytes on disk of our package for this platform: addon and daemon, from the folder that is published or the build's output. */
function platform(root) {
  const folder = path.join(root, 'npm')
  const target = `${process.platform}-${process.arch}`
  const name = existsSync(folder) && readdirSync(folder).find((one) => one.startsWith(target))
  const ready = name && readdirSync(path.join(folder, name)).some((file) => file.endsWith('.node'))
  if (ready) return packed(path.join(folder, name))
  const built = readdirSync(root).filter((file) => file === 'pm2d' || (file.endsWith('.node') && file.includes(target)))
  if (built.length !== 2) throw new Error(`expected pm2d and the addon for ${target} in ${root}: run \`npm run build\``)
  return built.reduce((sum, file) => sum + onDisk(lstatSync(path.join(root, file)).size), 0)
}

export default {
  name: 'install',
  once: true,
  rows: {
    packages: { what: 'runtime install, packages', unit: '', better: 'lower', goal: atMost(2, '') },
    size: { what: 'runtime install, size on disk', unit: 'MB', better: 'lower', goal: atMost(8, 'MB') },
  },

  async measure(peer) {
    if (peer.name === 'pm2') {
      const folders = [...tree(peer.package)]
      return { packages: folders.length, size: folders.reduce((sum, folder) => sum + bytes(folder), 0) / 1e6 }
    }
    return { packages: 2, size: (packed(peer.package) + platform(peer.package)) / 1e6 }
  },
}
