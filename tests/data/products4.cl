// Products of four bytes at once in plain OpenCL C, under the names of cl_khr_integer_dot_product: in front of shaders/shell.cl they
// stand in for it on a device without.
int dot_4x8packed_ss_int(uint a, uint b)
{
    const int4 p = convert_int4(as_char4(a)) * convert_int4(as_char4(b));
    return p.x + p.y + p.z + p.w;
}
uint dot_4x8packed_uu_uint(uint a, uint b)
{
    const uint4 p = convert_uint4(as_uchar4(a)) * convert_uint4(as_uchar4(b));
    return p.x + p.y + p.z + p.w;
}
int dot_4x8packed_su_int(uint a, uint b)
{
    const int4 p = convert_int4(as_char4(a)) * convert_int4(as_uchar4(b));
    return p.x + p.y + p.z + p.w;
}
