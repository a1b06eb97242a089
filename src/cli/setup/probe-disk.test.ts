import { describe, expect, it } from 'vitest';
import { imageOptions } from './probe-disk.ts';

describe('the probe disk as QEMU opens it', () => {
  it('bears the name of the node, which TrueNAS admits', () => {
    expect(imageOptions('iscsi://[2001:db8::1]:3260/iqn.2005-10.org.freenas.ctl:proxmox/7', 'iqn.1993-08.org.debian:01:a,b')).toBe(
      'driver=raw,file.driver=iscsi,file.transport=tcp,file.portal=[2001:db8::1]:3260,file.target=iqn.2005-10.org.freenas.ctl:proxmox,' +
        'file.lun=7,file.initiator-name=iqn.1993-08.org.debian:01:a,,b',
    );
  });

  it.each(['/dev/sda', 'iscsi://h/t', 'iscsi://h/t/x', 'iscsi://h/t/1/2'])('refuses %s', (url) => {
    expect(() => imageOptions(url, null)).toThrow('no address');
  });
});
