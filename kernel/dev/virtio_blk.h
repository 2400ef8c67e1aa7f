// Drivers of disks.
#ifndef XOK_VIRTIO_BLK_H
#define XOK_VIRTIO_BLK_H
void nvme_init(void);
void virtio_blk_init(void); // gives XN every one there is, up to XOK_DISK_MAX
#endif
