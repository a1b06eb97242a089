/**
 * Runs in the VM for as long as its engine has work, so that an operation costs no start of a process: under an emulated CPU that is
 * most of its time. It calls libzfs, as TrueNAS's middleware does, and leaves to zfs(8) what that composes itself (destroy and rollback with
 * flags, and the words when one is refused). Python and its ctypes come with Debian's zfsutils-linux.
 *
 * Arguments: pool, token. It speaks on the virtio port of the agent that started it: `READY token`, then for each line of JSON
 * `{steps, read}` (pool-shell.ts) a line with the number of bytes, and so many bytes of JSON; `end` ends it.
 */
export const POOL_WORKER = String.raw`
import ctypes, json, os, signal, subprocess, sys, time, traceback
from ctypes import byref, c_char_p, c_int, c_uint, c_uint64, c_void_p, create_string_buffer

pool = sys.argv[1]
lib, nv, core = ctypes.CDLL('libzfs.so.6'), ctypes.CDLL('libnvpair.so.3'), ctypes.CDLL('libzfs_core.so.3')
for f in (lib.libzfs_init, lib.zfs_open, lib.zpool_open, lib.zfs_get_user_props, nv.nvlist_next_nvpair): f.restype = c_void_p
nv.nvpair_name.restype = c_char_p
lib.zpool_get_prop_int.restype = c_uint64
FILESYSTEM, SNAPSHOT, VOLUME = 1, 2, 4
TYPES = {FILESYSTEM: 'FILESYSTEM', SNAPSHOT: 'SNAPSHOT', VOLUME: 'VOLUME'}
SOURCES = {2: 'DEFAULT', 8: 'LOCAL', 16: 'INHERITED', 32: 'LOCAL'}
hdl = c_void_p(lib.libzfs_init())

def numbers(names): return [(n, lib.zfs_name_to_prop(n.encode())) for n in names.split()]
BOTH = 'type creation used referenced compressratio createtxg guid refcompressratio written logicalreferenced encryption '
OF_DATASET = numbers(BOTH + '''available origin quota reservation recordsize checksum compression atime exec readonly snapdir aclmode
 acltype aclinherit canmount casesensitivity xattr copies refquota refreservation primarycache secondarycache usedbysnapshots usedbydataset
 usedbychildren usedbyrefreservation logbias dedup sync logicalused volsize volblocksize volmode volthreading snapdev keylocation keyformat
 pbkdf2iters keystatus special_small_blocks''')
OF_SNAPSHOT = numbers(BOTH + 'volsize userrefs defer_destroy')

class Dataset:
    def __init__(self, name): self.name = name
    def __enter__(self):
        self.z = lib.zfs_open(hdl, self.name.encode(), FILESYSTEM | SNAPSHOT | VOLUME)
        return c_void_p(self.z) if self.z else None
    def __exit__(self, *_):
        if self.z: lib.zfs_close(c_void_p(self.z))

def pairs(nvl):
    at = None
    while True:
        at = nv.nvlist_next_nvpair(nvl, c_void_p(at))
        if not at: return
        yield nv.nvpair_name(c_void_p(at)).decode(), c_void_p(at)

def text(nvl, key):
    found = c_char_p()
    return found.value.decode() if nv.nvlist_lookup_string(nvl, key, byref(found)) == 0 else ''

def read(name):
    with Dataset(name) as z:
        if z is None: return None
        kind = lib.zfs_get_type(z)
        value, where, source, found = create_string_buffer(4096), create_string_buffer(4096), c_int(), []
        for prop, number in OF_SNAPSHOT if kind == SNAPSHOT else OF_DATASET:
            if lib.zfs_prop_get(z, number, value, 4096, byref(source), where, 4096, 1) == 0:
                kept = SOURCES.get(source.value, 'NONE')
                found.append([prop, value.value.decode(), kept, where.value.decode() if kept == 'INHERITED' else None])
        for prop, pair in pairs(c_void_p(lib.zfs_get_user_props(z))):
            of = c_void_p()
            nv.nvpair_value_nvlist(pair, byref(of))
            at = text(of, b'source')
            here = at in (name, '$recvd')
            found.append([prop, text(of, b'value'), 'LOCAL' if here else 'INHERITED', None if here else at])
        return {'name': name, 'type': TYPES[kind], 'properties': found}

ITERATE = ctypes.CFUNCTYPE(c_int, c_void_p, c_void_p)
lib.zfs_get_name.restype = c_char_p
def below(name):
    children, snapshots = [], []
    def visit(into):
        def one(z, _):
            into.append(lib.zfs_get_name(c_void_p(z)).decode())
            lib.zfs_close(c_void_p(z))
            return 0
        return ITERATE(one)
    with Dataset(name) as z:
        if z is not None:
            lib.zfs_iter_snapshots_v2(z, 1, visit(snapshots), None, c_uint64(0), c_uint64(0))
            if lib.zfs_get_type(z) == FILESYSTEM: lib.zfs_iter_filesystems_v2(z, 1, visit(children), None)
    return [name] + snapshots + [n for child in children for n in below(child)]

def holds(name):
    tags, nvl = {}, c_void_p()
    with Dataset(name) as z:
        if z is not None and lib.zfs_get_holds(z, byref(nvl)) == 0:
            for tag, pair in pairs(nvl):
                at = c_uint64()
                nv.nvpair_value_uint64(pair, byref(at))
                tags[tag] = at.value
            nv.nvlist_free(nvl)
    return tags

def sizes():
    z, missing = c_void_p(lib.zpool_open(hdl, pool.encode())), c_int()
    lib.zpool_refresh_stats(z, byref(missing))
    found = [lib.zpool_get_prop_int(z, lib.zpool_name_to_prop(n), None) for n in (b'size', b'allocated', b'free')]
    lib.zpool_close(z)
    return found

def report(names):
    found = [one for one in map(read, below(pool) if names is None else names) if one is not None]
    held = [one['name'] for one in found if any(p[0] == 'userrefs' and p[1] != '0' for p in one['properties'])]
    return {'datasets': found, 'holds': {name: holds(name) for name in held}, 'sizes': sizes() if names is None else None}

def nvlist(words):
    nvl = c_void_p()
    nv.nvlist_alloc(byref(nvl), 1, 0)
    for one in words:
        key, _, value = one.partition('=')
        nv.nvlist_add_string(nvl, key.encode(), value.encode())
    return nvl

def split(words):
    at = words.index('--')
    return words[:at], words[at + 1:]

def straight(verb, words):
    """What libzfs does at once; False: zfs(8) has to say it, because it was refused or is not of these kinds."""
    flags, names = split(words)
    given = [flags[i + 1] for i, one in enumerate(flags) if one == '-o']
    if verb == 'create' and '-p' not in flags:
        size = ['volsize=' + flags[flags.index('-V') + 1]] if '-V' in flags else []
        return lib.zfs_create(hdl, names[0].encode(), VOLUME if size else FILESYSTEM, nvlist(size + given)) == 0
    if verb == 'snapshot':
        return lib.zfs_snapshot_nvl(hdl, nvlist(names), nvlist(given)) == 0
    if verb == 'rename' and not flags:
        with Dataset(names[0]) as z: return z is not None and lib.zfs_rename(z, names[1].encode(), c_uint(0)) == 0
    if verb == 'clone':
        with Dataset(names[0]) as z: return z is not None and lib.zfs_clone(z, names[1].encode(), nvlist(given)) == 0
    if verb == 'set' and not flags:
        with Dataset(names[-1]) as z: return z is not None and lib.zfs_prop_set_list(z, nvlist(names[:-1])) == 0
    if verb == 'promote':
        with Dataset(names[0]) as z: return z is not None and lib.zfs_promote(z) == 0
    if verb == 'rollback' and not flags:
        dataset, _, short = names[0].partition('@')
        return core.lzc_rollback_to(dataset.encode(), names[0].encode()) == 0
    if verb == 'destroy' and flags in ([], ['-d']):
        with Dataset(names[0]) as z: return z is not None and lib.zfs_destroy(z, len(flags)) == 0
    if verb in ('hold', 'release'):
        dataset, _, short = names[1].partition('@')
        with Dataset(dataset) as z:
            if z is None: return False
            args = (z, short.encode(), names[0].encode(), 0)
            return (lib.zfs_hold(*args, -1) if verb == 'hold' else lib.zfs_release(*args)) == 0
    return False

# what zfs(8) prints of these is what libzfs says
WORDED = ('create', 'snapshot', 'rename', 'clone', 'set', 'promote', 'hold', 'release')
lib.libzfs_error_action.restype = lib.libzfs_error_description.restype = c_char_p

def zfs(words):
    if straight(words[0], words[1:]): return ''
    if words[0] in WORDED and lib.libzfs_errno(hdl) != 0 and '-p' not in words:
        return lib.libzfs_error_action(hdl).decode() + ': ' + lib.libzfs_error_description(hdl).decode()
    for _ in range(3):
        done = subprocess.run(['zfs', *words], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        if done.returncode == 0: return ''
        # udev looks at a volume that was just made or unmapped (RP-02)
        if words[0] != 'destroy' or 'dataset is busy' not in done.stderr: break
        subprocess.run(['udevadm', 'settle', '-t', '5'])
    return done.stderr.strip() or 'zfs ' + words[0] + ' failed'

def until(there, complaint):
    for _ in range(400):
        if there(): return ''
        time.sleep(0.05)
    return complaint

def node(name): return '/dev/zvol/' + name.replace(' ', '+') # as zvol_id(8) of udev's rule writes it

def device(name):
    return until(lambda: os.path.exists(node(name)), node(name) + ' did not appear')

def keep_open(name, guid):
    said, pidfile = device(name), '/run/zfs/open-' + guid
    if said or os.path.exists(pidfile): return said
    subprocess.Popen(['setsid', 'bash', '-c', 'exec 3<"$1"; echo $$ > "$2"; exec sleep infinity', '-', node(name), pidfile],
                     stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return until(lambda: os.path.exists(pidfile) and os.path.getsize(pidfile) > 0, name + ' could not be opened')

def let_go(guid):
    pidfile = '/run/zfs/open-' + guid
    try:
        with open(pidfile) as f: os.kill(int(f.read()), signal.SIGTERM)
        os.remove(pidfile)
    except (FileNotFoundError, ProcessLookupError): pass
    return ''

def number(name, prop):
    return int(subprocess.run(['zfs', 'get', '-Hpo', 'value', prop, name], stdout=subprocess.PIPE, text=True).stdout)

def fill():
    reserve = pool + '/.system'
    if read(reserve) is None:
        said = zfs(['create', '-o', 'canmount=off', '--', reserve])
        if said: return said
    subprocess.run(['zpool', 'sync', pool])
    return zfs(['set', '--', 'reservation=%d' % (number(pool, 'available') + number(reserve, 'used')), reserve])

def step(kind, *words):
    if kind == 'zfs': return zfs(list(words))
    if kind == 'device': return device(*words)
    if kind == 'open': return keep_open(*words)
    if kind == 'close': return let_go(*words)
    if kind == 'fill': return fill()
    if kind == 'empty': return zfs(['destroy', '-r', '--', pool + '/.system'])
    return 'no step ' + kind

def answer(request):
    said = ''
    for one in request['steps']:
        said = step(*one)
        if said: break
    return {'refusal': said or None, **report(request['read'])}

# the port of the agent that runs this: the agent does not read it until this process ends
agent = os.getppid()
at = next(int(n) for n in os.listdir('/proc/%d/fd' % agent) if '/dev/vport' in os.readlink('/proc/%d/fd/%s' % (agent, n)))
port = ctypes.CDLL(None).syscall(438, os.pidfd_open(agent), at, 0)

def send(data):
    while data: data = data[os.write(port, data):]

send(('READY %s\n' % sys.argv[2]).encode())
kept = b''
while True:
    got = os.read(port, 262144)
    if not got: break
    kept += got
    while b'\n' in kept:
        line, _, kept = kept.partition(b'\n')
        if line == b'end': sys.exit()
        try: found = answer(json.loads(line))
        except Exception: found = {'failed': traceback.format_exc()}
        out = json.dumps(found, separators=(',', ':')).encode()
        send(b'%d\n' % len(out) + out)
`;
